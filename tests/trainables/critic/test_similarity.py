"""Similarities against loops over pairs, and their gradients where embeddings are equal."""

import math
from functools import partial

import pytest
import torch

from trainables.critic.mixture import columns_of_phi
from trainables.critic.similarity import EPS, SIMILARITIES, l2, of_rows


def by_pair(name: str, a: list[float], b: list[float]) -> float:
    product = math.fsum(x * y for x, y in zip(a, b, strict=True))
    norms = [math.sqrt(math.fsum(x * x for x in one)) for one in (a, b)]
    distance = -math.sqrt(math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)) + EPS)
    return {"l2": distance, "dot": product, "cosine": product / (norms[0] * norms[1])}[name]


def by_kernel(phi: list[float], psi: list[float]) -> float:
    """The logarithm of the sum over kernels of w c / (|mu - psi|^2 + c^2 + EPS)^1.5."""
    size = len(psi)
    kernels = len(phi) // (size + 2)
    parts = []
    for m in range(kernels):
        mu, w, c = phi[m * size : (m + 1) * size], phi[kernels * size + m], phi[kernels * (size + 1) + m]
        square = math.fsum((x - y) ** 2 for x, y in zip(mu, psi, strict=True))
        parts.append(math.exp(w) * math.exp(c) / (square + math.exp(c) ** 2 + EPS) ** 1.5)
    return math.log(math.fsum(parts))


@pytest.mark.parametrize("name", SIMILARITIES)
def test_each_similarity_is_that_of_a_loop_over_pairs(name: str) -> None:
    random = torch.Generator().manual_seed(0)
    shapes = (6, 3 * (7 + 2) if name == "mixture" else 7), (5, 7)
    phi, psi = (torch.randn(*shape, generator=random, dtype=torch.float64) + 3 for shape in shapes)
    found = SIMILARITIES[name](phi, psi)
    of_pair = by_kernel if name == "mixture" else partial(by_pair, name)
    expected = [[of_pair(a, b) for b in psi.tolist()] for a in phi.tolist()]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_the_gradient_is_finite_where_embeddings_are_equal(name: str, offset: float) -> None:
    psi = torch.randn(6, 8, generator=torch.Generator().manual_seed(1)) + offset
    psi[1] = psi[0]
    columns = torch.full((6, 2), -9.0) if name == "mixture" else torch.empty(6, 0)  # one narrow kernel
    phi = torch.cat([psi, columns], dim=1).requires_grad_()
    SIMILARITIES[name](phi, psi).logsumexp(dim=1).sum().backward()
    assert phi.grad is not None
    assert bool(phi.grad.isfinite().all())


def test_a_root_without_the_small_term_would_have_no_gradient_there() -> None:
    phi = torch.zeros(1, 2, requires_grad=True)
    (phi - torch.zeros(1, 2)).square().sum().sqrt().backward()
    assert phi.grad is not None
    assert bool(phi.grad.isnan().all())


def test_long_embeddings_keep_their_small_distances() -> None:
    """In float32, 100 from the origin and 0.01 apart, of which the square about the origin has no digit."""
    apart = torch.full((4, 16), 0.0025)
    found = l2(apart + 25.0, torch.full((4, 16), 25.0))
    torch.testing.assert_close(found, torch.full((4, 4), -math.sqrt(1e-4 + EPS)), rtol=0.02, atol=0.0)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_the_gradients_are_those_of_finite_differences_in_each_batch(name: str) -> None:
    random = torch.Generator().manual_seed(2)
    columns = columns_of_phi(2, 3) if name == "mixture" else 3
    shapes = (2, 4, columns), (2, 5, 3)
    phi, psi = (torch.randn(*shape, generator=random, dtype=torch.float64).requires_grad_() for shape in shapes)
    assert torch.autograd.gradcheck(lambda one, other: SIMILARITIES[name](one, other), (phi, psi))


@pytest.mark.parametrize("name", SIMILARITIES)
def test_rows_have_the_similarity_of_their_own_pair(name: str) -> None:
    random = torch.Generator().manual_seed(3)
    columns = columns_of_phi(2, 7) if name == "mixture" else 7
    phi, psi = (torch.randn(6, width, generator=random, dtype=torch.float64) for width in (columns, 7))
    torch.testing.assert_close(of_rows(name, phi, psi), SIMILARITIES[name](phi, psi).diagonal())
