"""Laws of the tanh-Gaussian policy and its losses, against torch.distributions, integrals and closed forms."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from trainables.critic.actor import (
    Actor,
    Gaussian,
    actor_loss,
    alpha_loss,
    bounded_log_std,
    draw,
    log_density,
    median_action,
    target_entropy,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def policies(count: int, seed: int = 0) -> Gaussian:
    random = seeded(seed)
    mean = torch.randn(count, 2, generator=random, dtype=torch.float64)
    return Gaussian(mean, bounded_log_std(torch.randn(count, 2, generator=random, dtype=torch.float64)))


def everywhere() -> tuple[Tensor, int]:
    """Return the centres of 400 x 400 squares of (-1, 1)^2 and their number."""
    sides = (torch.arange(400, dtype=torch.float64) + 0.5) / 200.0 - 1.0
    return torch.cartesian_prod(sides, sides), 400 * 400


def one(mean: list[float], log_std: list[float], rows: int) -> Gaussian:
    """Return the same distribution in each row."""
    return Gaussian(*(torch.tensor([part], dtype=torch.float64).expand(rows, -1) for part in (mean, log_std)))


def library(policy: Gaussian) -> TransformedDistribution:
    """The same distribution built of parts of torch."""
    parts = Independent(Normal(policy.mean, policy.log_std.exp()), 1)
    return TransformedDistribution(parts, [TanhTransform(cache_size=1)])


def test_the_density_is_that_of_torch_distributions() -> None:
    policy, eps = policies(50), torch.randn(50, 2, generator=seeded(1), dtype=torch.float64)
    policy = policy._replace(log_std=policy.log_std.clamp(max=0.0))  # where atanh of an action keeps its digits
    drawn = draw(policy, eps)
    torch.testing.assert_close(drawn.log_pi, library(policy).log_prob(drawn.action), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(drawn.log_pi, log_density(policy, drawn.action), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("log_std", [-2.0, -0.5, 0.3])
def test_the_density_integrates_to_one_over_all_actions(log_std: float) -> None:
    """By the midpoint rule, which misses some of the steep ends; without the correction of tanh it is far from 1."""
    action, squares = everywhere()
    density = log_density(one([0.3, -0.6], [log_std, log_std - 0.2], squares), action).exp()
    uncorrected = density * (1.0 - action.square()).prod(dim=1)
    assert float(density.mean()) * 4.0 == pytest.approx(1.0, abs=5e-3)
    assert abs(float(uncorrected.mean()) * 4.0 - 1.0) > 0.05


def test_the_entropy_of_draws_is_the_integral_of_the_density() -> None:
    """-E log pi over draws against -sum pi log pi over squares; four standard errors (1 in 16,000)."""
    eps, (action, squares) = torch.randn(40_000, 2, generator=seeded(2), dtype=torch.float64), everywhere()
    drawn = draw(one([0.2, -0.4], [-0.7, -1.0], 40_000), eps)
    log_pi = log_density(one([0.2, -0.4], [-0.7, -1.0], squares), action)
    entropy = -4.0 * float((log_pi.exp() * log_pi).mean())
    error = float(drawn.log_pi.std()) / 200.0
    assert -float(drawn.log_pi.mean()) == pytest.approx(entropy, abs=4.0 * error + 1e-3)


def test_log_pi_is_finite_with_finite_gradients_where_tanh_is_one() -> None:
    policy = Gaussian(torch.tensor([[30.0, -30.0]], requires_grad=True), torch.zeros(1, 2, requires_grad=True))
    drawn = draw(policy, torch.zeros(1, 2))
    drawn.log_pi.sum().backward()
    assert drawn.action.tolist() == [[1.0, -1.0]]
    # -log(1 - tanh(30)^2) = 60 - 2 log 2 in each component, of which the slope is 2
    assert float(drawn.log_pi.detach()) == pytest.approx(2 * (60 - 2 * math.log(2)) - math.log(2 * math.pi), rel=1e-6)
    assert policy.mean.grad is not None
    torch.testing.assert_close(policy.mean.grad, torch.tensor([[2.0, -2.0]]))


def test_log_std_is_bounded_as_stated() -> None:
    raw = torch.tensor([-50.0, -1.0, 0.0, 0.7, 50.0], dtype=torch.float64)
    expected = [-5.0 + 3.5 * (math.tanh(float(each)) + 1.0) for each in raw]
    torch.testing.assert_close(bounded_log_std(raw).tolist(), expected, rtol=0.0, atol=1e-12)
    assert (expected[0], expected[-1]) == (-5.0, 2.0)


def test_the_median_action_is_in_the_middle_of_the_draws() -> None:
    """Half of 10,000 draws on either side, within four standard deviations of 50 (1 in 16,000 for each component)."""
    policy = one([0.5, -1.5], [0.4, -1.0], 10_000)
    actions = draw(policy, torch.randn(10_000, 2, generator=seeded(3), dtype=torch.float64)).action
    below = (actions < median_action(policy)).sum(dim=0)
    assert ((below - 5000).abs() < 200).all()


def test_the_losses_are_their_equations_in_plain_loops() -> None:
    random = seeded(4)
    log_pi, f = torch.randn(2, 7, generator=random, dtype=torch.float64)
    log_alpha, H = torch.tensor(-0.7, dtype=torch.float64), target_entropy(2)
    actor = sum(math.exp(-0.7) * float(log_pi[i]) - float(f[i]) for i in range(7)) / 7
    alpha = sum(math.exp(-0.7) * (-float(log_pi[i]) - H) for i in range(7)) / 7
    assert H == -1.0
    assert float(actor_loss(log_alpha, log_pi, f)) == pytest.approx(actor, abs=1e-12)
    assert float(alpha_loss(log_alpha, log_pi, H)) == pytest.approx(alpha, abs=1e-12)


@pytest.mark.parametrize(("log_pi", "grows"), [(3.0, True), (-3.0, False)], ids=["low entropy", "high entropy"])
def test_alpha_grows_while_the_entropy_is_below_its_target(log_pi: float, grows: bool) -> None:
    log_alpha = torch.zeros((), requires_grad=True)
    alpha_loss(log_alpha, torch.full((5,), log_pi), target_entropy(2)).backward()
    assert log_alpha.grad is not None
    assert (float(log_alpha.grad) < 0.0) == grows


def test_each_loss_reaches_its_own_parameters_alone() -> None:
    log_alpha = torch.zeros((), requires_grad=True)
    mean = torch.zeros(4, 2, requires_grad=True)
    drawn = draw(Gaussian(mean, torch.zeros(4, 2)), torch.randn(4, 2, generator=seeded(5)))
    towards = -(drawn.action - 0.5).square().sum(dim=1)
    actor_loss(log_alpha, drawn.log_pi, towards).backward()
    assert (log_alpha.grad is None, mean.grad is None) == (True, False)
    mean.grad = None
    alpha_loss(log_alpha, draw(Gaussian(mean, torch.zeros(4, 2)), torch.zeros(4, 2)).log_pi, -1.0).backward()
    assert (log_alpha.grad is None, mean.grad is None) == (False, True)


def test_the_actor_learns_the_policy_of_a_known_optimum() -> None:
    """For f = -k |a - g|^2 the actions go to the goal; without f they spread to the uniform density."""

    def trained(weight: float) -> tuple[Tensor, Tensor]:
        torch.manual_seed(0)
        actor, random = Actor(nn.Sequential(nn.Linear(4, 32), nn.SiLU()), 32, 2), seeded(6)
        optimiser = torch.optim.Adam(actor.parameters(), lr=1e-2)
        for _ in range(300):
            goal = torch.rand(128, 2, generator=random) - 0.5
            drawn = draw(actor(torch.zeros(128, 2), goal), torch.randn(128, 2, generator=random))
            loss = actor_loss(torch.tensor(-3.0), drawn.log_pi, -weight * (drawn.action - goal).square().sum(dim=1))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        goal = torch.rand(500, 2, generator=random) - 0.5
        policy = actor(torch.zeros(500, 2), goal)
        draws = draw(policy, torch.randn(500, 2, generator=random)).action
        return (median_action(policy) - goal).detach(), draws.detach()

    missed, _ = trained(10.0)
    _, free = trained(0.0)
    assert float(missed.abs().mean()) < 0.05
    assert float(free.std()) == pytest.approx(1.0 / math.sqrt(3.0), abs=0.08)  # that of a uniform density on (-1, 1)
