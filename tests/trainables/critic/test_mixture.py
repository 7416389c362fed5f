"""The mixture similarity: at first linear extrapolation to several horizons, and never the goal in phi."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.trainables.critic.agent.tiny import TINY as AGENT
from tests.trainables.critic.tiny import TINY
from trainables.core.config import ConfigError
from trainables.critic.agent.batches import Batch
from trainables.critic.agent.contrastive import Contrastive
from trainables.critic.api import critic_of
from trainables.critic.config import CriticModelConfig
from trainables.critic.mixture import EPS, columns_of_phi, horizons, mixture
from trainables.critic.networks import CriticNetwork, Scale
from trainables.training.worker import ALONE

MODEL = CriticModelConfig(depth=4, width=16, embedding_dim=5, similarity="mixture", kernels=4, frequencies=2)
SCALE = Scale(
    torch.tensor([40.0, -30.0, 200.0, 100.0]),
    torch.tensor([300.0, 150.0, 900.0, 500.0]),
    torch.tensor([3.0, -2.0]),
    torch.tensor([9.0, 5.0]),
)


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """States, actions and goals within a screen."""
    random = torch.Generator().manual_seed(seed)
    state, action = torch.randn(count, 4, generator=random) * 200, torch.randn(count, 2, generator=random) * 8
    return state, action, torch.randn(count, 2, generator=random) * 200


def network(model: CriticModelConfig = MODEL, *, velocity: bool = False) -> CriticNetwork:
    torch.manual_seed(0)
    return CriticNetwork(model, SCALE, goal_velocity=velocity)


@pytest.mark.parametrize("velocity", [False, True])
@pytest.mark.parametrize(
    ("embedding", "depth", "lowered"), [(2, 4, 0.0), (5, 4, 0.015), (64, 4, 0.015), (16, 64, 0.015)]
)
def test_at_first_f_is_the_sum_of_kernels_around_extrapolated_positions(
    velocity: bool, embedding: int, depth: int, lowered: float
) -> None:
    """In px, by a loop over pairs and kernels: whatever the weights of the networks below their heads.

    Half of the goals are where a state is, at the peak of the narrowest kernel: there other components lower f most, by
    up to 3/2 of 0.1 px squared over 1 px squared.
    """
    state, action, position = rows(6)
    position[3:] = state[3:, :2]
    goal = torch.cat([position, rows(6, seed=1)[0][:, 2:]], dim=1) if velocity else position
    model = replace(MODEL, embedding_dim=embedding, depth=depth)
    f = mixture(*network(model, velocity=velocity).double()(state.double(), action.double(), goal.double()))
    differences = []
    for i in range(6):
        for j in range(6):
            kernels = []
            for steps, width_px in ((0.0, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0)):
                place = [float(state[i, axis]) + steps * float(action[i, axis]) for axis in (0, 1)]
                square = sum((place[axis] - float(goal[j, axis])) ** 2 for axis in (0, 1)) / 20.0**2
                width = width_px / 20.0
                kernels.append(width / (square + width**2 + EPS) ** 1.5)
            differences.append(float(f[i, j].detach()) - math.log(math.fsum(kernels)))
    assert -lowered - 2e-5 < min(differences) <= max(differences) < 2e-5
    assert (min(differences) < -2e-5) == (embedding > 2)


def test_at_first_one_kernel_orders_goals_by_their_distance() -> None:
    state, action, goal = rows(40)
    f = mixture(*network(replace(MODEL, kernels=1))(state, action, goal))
    distance = torch.cdist(state[:, :2].double(), goal.double())
    assert torch.equal(f.argmax(dim=1), distance.argmin(dim=1))


def test_the_heads_and_the_maps_learn() -> None:
    """Zeros at first are no obstacle: all of them have a gradient, and after a step the layers below have one."""
    net, (state, action, goal) = network(), rows(30)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    found = []
    for _ in range(2):
        optimizer.zero_grad()
        f = mixture(*net(state, action, goal))
        (f.logsumexp(dim=1) - f.diagonal()).mean().backward()
        found.append({name for name, p in net.named_parameters() if p.grad is not None and bool((p.grad != 0).any())})
        optimizer.step()
    ends = {"phi.head.weight", "phi.head.bias", "psi.head.weight", "linear_phi.weight", "linear_psi.weight"}
    assert ends <= found[0]
    assert "phi.stem.0.weight" in found[1] - found[0]
    assert "psi.stem.0.weight" in found[1]


@pytest.mark.parametrize("velocity", [False, True])
def test_every_component_of_the_embedding_is_another_and_has_a_gradient_from_the_first_step(
    velocity: bool,
) -> None:
    """Of the goal, of each centre, and of each input of the linear maps; 0 on both sides would keep components at 0."""
    model = replace(MODEL, embedding_dim=7, width=32)
    net, (state, action, position) = network(model, velocity=velocity), rows(200)
    goal = torch.cat([position, rows(200, seed=1)[0][:, 2:]], dim=1) if velocity else position
    phi, psi = net(state, action, goal)
    assert torch.linalg.matrix_rank(psi[:, 2:] - psi[:, 2:].mean(dim=0), rtol=1e-4) == 5
    f = mixture(phi, psi)
    (f.logsumexp(dim=1) - f.diagonal()).mean().backward()
    centres = 4 * 7  # rows of phi
    for gradient in (
        of(net.psi.head)[:, None],
        of(net.phi.head)[:centres].unflatten(0, (4, 7)).swapaxes(0, 1),
        of(net.linear_psi)[:, None],
        of(net.linear_phi)[:centres].unflatten(0, (4, 7)).swapaxes(0, 1),
    ):
        assert gradient.shape[0] == 7
        assert bool((gradient.abs() > 1e-9).all(dim=-1).all())


def of(layer: torch.nn.Linear | None) -> Tensor:
    """The gradient of its weight."""
    assert layer is not None
    assert layer.weight.grad is not None
    return layer.weight.grad


def test_a_weight_counts_for_its_kernel_alone_and_an_offset_of_all_for_the_row() -> None:
    phi, psi = (torch.randn(n, c, generator=torch.Generator().manual_seed(2)) for n, c in ((3, 3 * 7), (4, 5)))
    raised = phi.clone()
    raised[:, 15:18] += 0.7  # the logarithms of the weights
    torch.testing.assert_close(mixture(raised, psi), mixture(phi, psi) + 0.7)
    alone = phi.clone()
    alone[:, 16:18] = -50.0
    parts = torch.cat([phi[:, :5], phi[:, 15:16], phi[:, 18:19]], dim=1)
    torch.testing.assert_close(mixture(alone, psi), mixture(parts, psi))


def test_horizons_double_and_the_columns_count_centres_weights_and_widths() -> None:
    assert [horizons(count) for count in (1, 2, 4)] == [(0.0,), (0.0, 1.0), (0.0, 1.0, 2.0, 4.0)]
    assert network().phi.head.out_features == columns_of_phi(4, 5) == 4 * 5 + 4 + 4


@pytest.mark.parametrize(
    ("model", "law"),
    [
        ({"embedding_dim": 1}, "`embedding_dim >= 2` where similarity=mixture, but got embedding_dim=1"),
        ({"kernels": 0}, "`1 <= kernels <= 12`"),
        ({"kernels": 13}, "`1 <= kernels <= 12`"),
    ],
)
def test_shapes_that_hold_no_mixture_are_refused_in_one_line(model: dict[str, int], law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        replace(MODEL, **model)  # type: ignore[arg-type]
    assert law in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_a_record_of_before_the_mixture_is_the_critic_that_it_was() -> None:
    """It names its similarity and knows no kernels."""
    model = {"depth": 4, "width": 16, "embedding_dim": 5, "similarity": "l2", "frequencies": 2, "checkpoint_above": 64}
    config = {
        "model": model,
        "goal_velocity": False,
        "data": {"canonical": vars(TINY.data.canonical)},
        "loss": {"temperature": 1.0},
    }
    older = network(CriticModelConfig(**model))  # type: ignore[arg-type]
    assert not any(name.startswith("linear") for name in older.state_dict())
    critic, (state, action, goal) = critic_of(config, older.state_dict()), rows(5)
    expected = -(torch.cdist(*older(state, action, goal)).square() + 1e-6).sqrt()
    torch.testing.assert_close(critic(state, action, goal), expected.detach(), rtol=1e-3, atol=1e-3)


def test_an_agent_climbs_a_mixture_where_it_is_asked_to() -> None:
    """Its value of a row is f of that pair, with a gradient in the step."""
    torch.manual_seed(0)
    agent = Contrastive(replace(AGENT, model=MODEL), ALONE)
    state, action, goal = rows(6)
    batch = Batch(state, action, state, goal, goal, goal, torch.arange(6))
    step = action.clone().requires_grad_()
    f = agent.value(batch, step)
    pairs = mixture(*agent.critic(state, action, goal))
    torch.testing.assert_close(f, pairs.diagonal(), rtol=1e-4, atol=1e-4)
    f.sum().backward()
    assert step.grad is not None
    assert bool((step.grad != 0).any(dim=1).all())
