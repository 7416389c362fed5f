"""Properties of both networks: a row is a function of its own valid steps, condition and noise, smooth twice over."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.data.companding import compand, expand
from trainables.data.config import CONDITION_WIDTH
from trainables.data.splits.statistics import Statistics
from trainables.gan.config import GanModelConfig
from trainables.gan.networks import Critic, MovementNetwork, companded_path, places

C, D, LENGTHS = 3, CONDITION_WIDTH, (8, 13, 21, 30)
CONFIG = GanModelConfig(widths=(8, 12, 16), latent_dim=5, noise_channels=3, embedding_dim=10)
SCALE = torch.tensor(0.5)
STATISTICS = Statistics(
    torch.tensor([0.3, -0.1, 0.7]), torch.tensor([1.5, 1.2, 2.0]), torch.zeros(D), torch.ones(D), SCALE
)
Network = Callable[[Tensor, Tensor, Tensor], Tensor]


def valid(steps: int) -> Tensor:
    return torch.arange(steps) < torch.tensor(LENGTHS)[:, None]


def score(z: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
    torch.manual_seed(0)
    scores: Tensor = Critic(STATISTICS, CONFIG).double()(z, mask, condition)
    return scores[:, None]


def movement(noise: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
    torch.manual_seed(0)
    latent = condition.new_tensor([[math.sin(k + row) for k in range(5)] for row in range(4)])[: len(noise)]
    sequences: Tensor = MovementNetwork(C, D, CONFIG).double()(latent, noise, mask, condition)
    return sequences.flatten(1)


def given(steps: int = 30) -> tuple[Tensor, Tensor, Tensor]:
    """Something at every step, padded ones included: three channels serve as sequence and as noise."""
    random = torch.Generator().manual_seed(1)
    z = torch.randn(4, steps, 3, generator=random, dtype=torch.float64)
    return z, valid(steps), torch.randn(4, D, generator=random, dtype=torch.float64)


both = pytest.mark.parametrize("network", [score, movement], ids=["critic", "generator"])


@both
@pytest.mark.parametrize("hidden", [7.0, float("nan")])
def test_nothing_under_the_mask_reaches_the_output(network: Network, hidden: float) -> None:
    z, mask, condition = given()
    other = torch.where(mask[:, :, None], z, hidden)
    assert torch.equal(network(z, mask, condition), network(other, mask, condition))


@both
@pytest.mark.parametrize("extra", [1, 2, 7, 34])
def test_more_padding_changes_nothing(network: Network, extra: int) -> None:
    z, mask, condition = given()
    longer = torch.cat([z, torch.ones(4, extra, 3, dtype=z.dtype)], dim=1)
    found, expected = network(longer, valid(30 + extra), condition), network(z, mask, condition)
    torch.testing.assert_close(found[:, : expected.shape[1]], expected)
    assert not found[:, expected.shape[1] :].any()


@both
def test_rows_do_not_see_each_other(network: Network) -> None:
    z, mask, condition = given()
    together = network(z, mask, condition)
    torch.testing.assert_close(network(z[:1], mask[:1], condition[:1]), together[:1])
    longest = mask[:1].sum()
    torch.testing.assert_close(
        network(z[:1, :longest], mask[:1, :longest], condition[:1]), together[:1, : longest * C], check_stride=False
    )


@both
def test_every_valid_step_and_the_condition_matter(network: Network) -> None:
    """The other side of the two laws above."""
    z, mask, condition = given()
    z.requires_grad_(), condition.requires_grad_()
    gradients = torch.autograd.grad(network(z, mask, condition).square().sum(), (z, condition))
    assert bool((gradients[0].abs().amax(dim=2) > 0).eq(mask).all())
    assert bool((gradients[1] != 0).all())


def test_a_movement_is_zero_at_padded_steps_and_nowhere_else() -> None:
    sequences = movement(*given()).unflatten(1, (30, C))
    assert bool(sequences.ne(0).all(dim=2).eq(valid(30)).all())


def test_the_latent_vector_moves_every_valid_step() -> None:
    torch.manual_seed(0)
    noise, mask, condition = given()
    network = MovementNetwork(C, D, CONFIG).double()
    one, other = (network(torch.full((4, 5), x, dtype=torch.float64), noise, mask, condition) for x in (0.0, 1.0))
    assert bool((one != other).any(dim=2).eq(mask).all())


@both
def test_the_network_is_smooth_twice_over(network: Network) -> None:
    """Against finite differences, which the gradient penalty's gradient stands on."""
    z, mask, condition = given(10)
    z, mask, condition = z[:2, :10], valid(10)[:2], condition[:2]
    z.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: network(x, mask, condition), (z,), atol=1e-4)


def test_the_place_of_a_step_is_its_share_of_the_movement() -> None:
    found = places(valid(30), torch.float64)
    for row, length in enumerate(LENGTHS):
        for i in range(30):
            u = (i + 0.5) / length
            turns = [math.pi * u, 2 * math.pi * u, 4 * math.pi * u]
            expected = [*map(math.sin, turns), *map(math.cos, turns), 1.0] if i < length else [0.0] * 7
            assert found[row, i].tolist() == pytest.approx(expected)


def test_the_critic_is_shown_where_every_step_leads() -> None:
    """By the companding of the data: position by position, to the smoothing of a thousandth of a pixel."""
    u, mask, _ = given()
    found = companded_path(u, mask[:, :, None].double(), SCALE.double())
    for row, length in enumerate(LENGTHS):
        position = torch.zeros(1, 2, dtype=torch.float64)
        for i in range(length):
            position = position + expand(u[row, i : i + 1, :2], 0.5)
            torch.testing.assert_close(found[row, i], compand(position, 0.5)[0], rtol=0.0, atol=1e-3)
        assert not found[row, length:].any()


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        ({"widths": ()}, "`widths` to have 1 or more entries, but got widths=[]"),
        ({"widths": (8, 0)}, "`widths >= 1`"),
        ({"blocks": 0}, "`blocks >= 1`"),
        ({"latent_dim": 0}, "`latent_dim >= 1`"),
        ({"noise_channels": 0}, "`noise_channels >= 1`"),
        ({"embedding_dim": -1}, "`embedding_dim >= 1`"),
    ],
)
def test_an_invalid_value_is_refused(wrong: dict[str, int], law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        GanModelConfig(**wrong)  # type: ignore[arg-type]
    assert law in str(exc_info.value)
