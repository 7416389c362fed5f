"""Each algorithm against its equations: which step comes first, what gradients reach, targets by hand."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.critic.agent.tiny import TINY
from trainables.critic.actor import draw, median_action
from trainables.critic.agent.batches import Batch, sample
from trainables.critic.agent.cloning import Cloning
from trainables.critic.agent.collect import collect
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.contrastive import Contrastive
from trainables.critic.agent.learners import LEARNERS
from trainables.critic.agent.policy import scale_of
from trainables.critic.agent.policy_state import likelihood
from trainables.critic.agent.sac import REWARDS, SoftActorCritic, target
from trainables.critic.buffer import filled
from trainables.critic.environment.controller import proportional
from trainables.critic.environment.motor import action_of, expected_step
from trainables.critic.environment.reaching import Observation
from trainables.critic.networks import Scale
from trainables.training.trainable import TrainingDivergedError
from trainables.training.worker import ALONE

CPU = ALONE.device


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_batch(size: int = 12, seed: int = 0) -> Batch:
    """Transitions as the environment makes them, without any order in the goals."""
    random = seeded(seed)
    state = torch.cat([torch.randn(size, 2, generator=random) * 300, torch.randn(size, 2, generator=random) * 600], 1)
    action = (torch.randn(size, 2, generator=random) * 10).round()
    after = torch.cat([state[:, :2] + action, action * 60.0], dim=1)
    goal, wanted, end = (torch.randn(size, 2, generator=random) * 300 for _ in range(3))
    return Batch(state, action, after, goal, wanted, end, torch.arange(size))


def normal(size: int = 12, seed: int = 1) -> Tensor:
    return torch.randn(2, size, 2, generator=seeded(seed))


def weights(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def changed(before: list[Tensor], network: nn.Module) -> bool:
    return not all(map(torch.equal, before, network.parameters()))


def made(algorithm: str, config: AgentConfig = TINY) -> object:
    torch.manual_seed(0)
    return LEARNERS[algorithm](config, ALONE)


@pytest.mark.parametrize(("algorithm", "critic"), [("contrastive", "critic"), ("sac", "q")])
def test_the_actor_takes_its_step_before_the_critic(
    algorithm: str, critic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the actor improves, the critic is that of before; while the critic does, the actor is that of after."""
    learner, order = made(algorithm), []
    assert isinstance(learner, Contrastive | SoftActorCritic)
    network, actor = getattr(learner, critic), learner.policy.actor
    first, policy = weights(network), weights(actor)
    improve = learner.policy.improve

    def watched(*arguments: object) -> dict[str, float]:
        found = improve(*arguments)  # type: ignore[arg-type]
        order.append((changed(policy, actor), changed(first, network)))
        return found

    monkeypatch.setattr(learner.policy, "improve", watched)
    learner.update(a_batch(), normal())
    assert order == [(True, False)]
    assert changed(first, network)


@pytest.mark.parametrize(("algorithm", "critic"), [("contrastive", "critic"), ("sac", "q")])
def test_the_loss_of_the_actor_reaches_the_actor_alone(algorithm: str, critic: str) -> None:
    learner = made(algorithm)
    assert isinstance(learner, Contrastive | SoftActorCritic)
    network = getattr(learner, critic)
    network.requires_grad_(False)
    learner.policy.improve(a_batch(), value_of(learner, a_batch()), normal()[0])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.grad is not None for parameter in learner.policy.actor.parameters())
    network.requires_grad_(True)
    learner.update(a_batch(), normal())
    assert all(parameter.requires_grad for parameter in network.parameters())


def value_of(learner: Contrastive | SoftActorCritic, batch: Batch) -> Callable[[Tensor], Tensor]:
    if isinstance(learner, Contrastive):
        return lambda step: learner.value(batch, step)
    return lambda step: learner.q(batch.state, step, batch.wanted).amin(dim=0)


def test_the_value_is_the_similarity_of_each_row_with_its_wanted_position() -> None:
    learner, batch = made("contrastive"), a_batch()
    assert isinstance(learner, Contrastive)
    f = learner.value(batch, batch.action).detach()
    phi, psi = (part.detach() for part in learner.critic(batch.state, batch.action, batch.wanted))
    for row in range(len(f)):
        square = sum(float(phi[row, d] - psi[row, d]) ** 2 for d in range(phi.shape[1]))
        assert float(f[row]) == pytest.approx(-math.sqrt(square + 1e-6), rel=1e-4)


def test_the_gradient_of_the_actor_is_that_of_its_equation() -> None:
    """alpha log pi - f of the expected step, with a learning rate so small that the weights stay where they are."""
    config = replace(TINY, optim=replace(TINY.optim, lr=1e-12, grad_clip=1e9))
    learner, batch, eps = made("contrastive", config), a_batch(), normal()[0]
    assert isinstance(learner, Contrastive)
    drawn = draw(learner.policy.actor(batch.state, batch.wanted), eps)
    step = expected_step(batch.state[:, 2:], drawn.action, config.environment.motor)
    phi, psi = learner.critic(batch.state, step, batch.wanted)
    f = -((phi - psi).square().sum(dim=1) + 1e-6).sqrt()
    expected = torch.autograd.grad((0.1 * drawn.log_pi - f).mean(), [*learner.policy.actor.parameters()])
    learner.policy.improve(batch, lambda step: learner.value(batch, step), eps)
    for parameter, gradient in zip(learner.policy.actor.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_the_targets_of_sac_are_those_of_a_hand_computation() -> None:
    q = torch.tensor([[2.0, 5.0], [3.0, 1.0]])
    found = target(torch.tensor([1.0, 0.0]), 0.9, q, torch.tensor(0.5).log(), torch.tensor([-1.0, 2.0]))
    assert found.tolist() == pytest.approx([1 + 0.9 * (2 + 0.5), 0.9 * (1 - 1.0)])


def test_the_targets_of_a_batch_are_their_equation_row_by_row() -> None:
    learner, batch, eps = made("sac"), a_batch(), normal()[1]
    assert isinstance(learner, SoftActorCritic)
    near = torch.arange(12) % 2 == 0
    batch = batch._replace(wanted=torch.where(near[:, None], batch.after[:, :2] + 9.0 / math.sqrt(2), batch.wanted))
    y, reward = learner.targets(batch, eps)
    assert reward.tolist() == near.float().tolist()  # 9 px off a target of 20 px, and far off
    motor, alpha = TINY.environment.motor, float(learner.policy.log_alpha.detach().exp())
    learner.policy.actor.requires_grad_(False)
    for row in range(12):
        one = slice(row, row + 1)
        drawn = draw(learner.policy.actor(batch.after[one], batch.wanted[one]), eps[one])
        step = expected_step(batch.after[one, 2:], drawn.action, motor)
        values = [
            float(q(batch.after[one], step, batch.wanted[one])) for q in (learner.slow.first, learner.slow.second)
        ]
        expected = float(reward[row]) + TINY.gamma * (min(values) - alpha * float(drawn.log_pi))
        assert float(y[row]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_rewards_are_inside_of_the_target_and_at_rest_there() -> None:
    state = torch.tensor([[9.0, 0.0, 0.0, 0.0], [9.0, 0.0, 120.0, 0.0], [11.0, 0.0, 0.0, 0.0]])
    given = (state, torch.zeros(3, 2), torch.full((3,), 20.0), TINY.environment)
    assert REWARDS["inside"](*given).tolist() == [1.0, 1.0, 0.0]
    assert REWARDS["at_rest"](*given).tolist() == [1.0, 0.0, 0.0]


def test_the_target_networks_follow_by_their_share() -> None:
    learner = made("sac")
    assert isinstance(learner, SoftActorCritic)
    before = weights(learner.slow)
    learner.update(a_batch(), normal())
    decay = TINY.sac.target_decay
    for old, new, slow in zip(before, learner.q.parameters(), learner.slow.parameters(), strict=True):
        torch.testing.assert_close(slow, decay * old + (1 - decay) * new.detach())


@torch.no_grad()
def unexplained(learner: Cloning, batch: Batch) -> float:
    """Return the mean square of the error of the actor's actions over that of the stored ones."""
    expected = action_of(batch.state[:, 2:], batch.action, TINY.environment.motor)
    found = median_action(learner.policy.actor(batch.state, batch.end))
    return float((found - expected).square().mean() / expected.square().mean())


def test_cloning_recovers_a_known_policy() -> None:
    """From episodes of a controller: of the squares of its actions less than a tenth is left, untrained more than half.

    What is left is the noise of whole pixels in the recorded actions.
    """
    config = replace(TINY, model=replace(TINY.model, width=32), optim=replace(TINY.optim, lr=3e-3))
    motor = config.environment.motor

    def steered(state: Tensor, goal: Tensor) -> Tensor:
        return proportional(Observation(state, goal, torch.zeros(len(goal))), motor)

    quiet = replace(config.environment, motor=replace(motor, noise=0.0), max_steps=60)
    buffer = filled(collect(steered, quiet, 128, seeded(), "start").episodes)
    learner, random = made("cloning", config), seeded(1)
    assert isinstance(learner, Cloning)
    batch = sample(buffer, 64, 0.97, 0.0, random, CPU)
    untrained = unexplained(learner, batch)
    for _ in range(300):
        learner.update(sample(buffer, 64, 0.97, 0.0, random, CPU), normal(64))
    assert unexplained(learner, batch) < 0.1
    assert untrained > 0.5


def test_a_step_that_no_action_makes_counts_as_the_nearest_action() -> None:
    learner, batch = made("cloning"), a_batch(1)
    assert isinstance(learner, Cloning)
    motor = TINY.environment.motor
    far = batch._replace(action=torch.tensor([[5000.0, 0.0]]))
    most = batch._replace(action=expected_step(batch.state[:, 2:], torch.tensor([[0.999, 0.0]]), motor))
    own = action_of(batch.state[:, 2:], far.action, motor)
    assert float(own[0, 0]) > 1.0
    same = most._replace(action=torch.stack([most.action[:, 0], far.action[:, 1]], dim=1))
    torch.testing.assert_close(
        likelihood(learner.policy.actor, far, far.end, motor),
        likelihood(learner.policy.actor, same, same.end, motor),
        rtol=1e-2,
        atol=1e-2,
    )


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_a_loss_that_is_not_finite_ends_the_run_before_the_weights_change(algorithm: str) -> None:
    learner = made(algorithm)
    assert isinstance(learner, Contrastive | SoftActorCritic | Cloning)
    before = weights(learner.policy.actor)
    broken = a_batch()._replace(state=torch.full((12, 4), math.nan))
    with pytest.raises(TrainingDivergedError, match=r"^the loss is nan; lower optim\.lr="):
        learner.update(broken, normal())
    assert not changed(before, learner.policy.actor)


def test_the_scale_is_that_of_the_environment() -> None:
    found = scale_of(TINY.environment, "screen")
    assert isinstance(found, Scale)
    assert found.state_mean.tolist() == [960.0, 540.0, 0.0, 0.0]
    assert found.state_std.tolist() == [480.0, 270.0, 1500.0, 1500.0]
    assert found.action_std.tolist() == pytest.approx([25.0, 25.0])
    assert scale_of(TINY.environment, "start").state_std.tolist() == [450.0, 450.0, 1500.0, 1500.0]
