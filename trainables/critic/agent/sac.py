"""Soft actor-critic with hindsight goals: twin Q networks of a sparse reward, as a baseline.

    y = r(s', g) + gamma (min_i Q_target_i(s', a', g) - alpha log pi(a' | s', g)),   a' ~ pi(s', g)

and each Q minimises the mean square of Q(s, a, g) - y; the actor minimises alpha log pi - min_i Q_i. Goals are the
wanted positions of a batch, of which a share was reached later in the same episode (hindsight, `future`). An agent
that reached a goal may stay there for more: no reward ends the return, nor does the end of an episode, which depends on
the target and not on the goal.

References: Soft Actor-Critic Algorithms and Applications (Haarnoja et al., 2018), arXiv:1812.05905; Hindsight
    Experience Replay (Andrychowicz et al., 2017), section 3, arXiv:1707.01495.
"""

import copy
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.critic.actor import draw
from trainables.critic.agent.batches import Batch
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.policy import QNetwork, actor_of, scale_of
from trainables.critic.agent.policy_state import PolicyState, frozen, minimise
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.motor import expected_step
from trainables.critic.environment.reaching import at_rest_in_target
from trainables.critic.episodes import POSITION
from trainables.training import metric_names as names
from trainables.training.checkpoint import flatten, optimizer_tensors, restore_optimizer, select
from trainables.training.worker import Worker

Reward = Callable[[Tensor, Tensor, Tensor, ReachingConfig], Tensor]


def inside(
    state: Float[Tensor, "B 4"], goal: Float[Tensor, "B 2"], width: Float[Tensor, "B"], config: ReachingConfig
) -> Float[Tensor, "B"]:
    """1 inside of the target, its edge included."""
    return at_rest_in_target(state, goal, width, torch.inf).to(state.dtype)


def at_rest(
    state: Float[Tensor, "B 4"], goal: Float[Tensor, "B 2"], width: Float[Tensor, "B"], config: ReachingConfig
) -> Float[Tensor, "B"]:
    """1 inside of the target and slow, the reward of the environment."""
    return at_rest_in_target(state, goal, width, config.slow_px_s).to(state.dtype)


REWARDS: dict[str, Reward] = {"inside": inside, "at_rest": at_rest}


class Twins(nn.Module):
    """Two Q networks."""

    def __init__(self, first: QNetwork, second: QNetwork) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(
        self, state: Float[Tensor, "B 4"], step: Float[Tensor, "B 2"], goal: Float[Tensor, "B 2"]
    ) -> Float[Tensor, "2 B"]:
        """Return the values of both."""
        return torch.stack([self.first(state, step, goal), self.second(state, step, goal)])


def target(
    reward: Float[Tensor, "B"],
    gamma: float,
    q: Float[Tensor, "2 B"],
    log_alpha: Float[Tensor, ""],
    log_pi: Float[Tensor, "B"],
) -> Float[Tensor, "B"]:
    """Return y from what the target networks and the policy give after the step."""
    return reward + gamma * (q.amin(dim=0) - log_alpha.exp() * log_pi)


class SoftActorCritic:
    """Actor and Q networks in training, with the targets that follow them slowly."""

    def __init__(self, config: AgentConfig, worker: Worker) -> None:
        scale = scale_of(config.environment, config.coordinates)
        self._config, self._worker = config, worker
        self.q = Twins(QNetwork(config.model, scale), QNetwork(config.model, scale)).to(worker.device)
        self.slow = copy.deepcopy(self.q).requires_grad_(False)
        self.policy = PolicyState(actor_of(config.model, scale).to(worker.device), config, worker)
        self.optimizer = torch.optim.Adam(self.q.parameters(), lr=config.optim.lr)

    def update(self, batch: Batch, eps: Float[Tensor, "2 B 2"]) -> dict[str, float]:
        """Take a step of the actor, then one of the Q networks, and move the targets."""
        with frozen(self.q):
            measured = self.policy.improve(
                batch, lambda step: self.q(batch.state, step, batch.wanted).amin(dim=0), eps[0]
            )
        measured |= self.improve_q(batch, eps[1])
        self._follow()
        return measured

    def improve_q(self, batch: Batch, eps: Float[Tensor, "B 2"]) -> dict[str, float]:
        """Take a step of both Q networks towards y."""
        y, reward = self.targets(batch, eps)
        q = self.q(batch.state, batch.action, batch.wanted)
        loss = (q - y).square().mean()
        norm = minimise(loss, self.q, self.optimizer, self._config, self._worker)
        return {
            names.TRAIN_LOSS: loss.item(),
            names.TRAIN_GRADIENT_NORM: norm,
            names.TRAIN_Q: q.detach().mean().item(),
            names.TRAIN_REWARD: reward.mean().item(),
        }

    @torch.no_grad()
    def targets(self, batch: Batch, eps: Float[Tensor, "B 2"]) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """Return y and the reward of each row."""
        config = self._config
        width = torch.full_like(batch.wanted[:, 0], config.sac.target_width_px)
        reward = REWARDS[config.sac.reward](batch.after, batch.wanted, width, config.environment)
        drawn = draw(self.policy.actor(batch.after, batch.wanted), eps)
        step = expected_step(batch.after[:, POSITION:], drawn.action, config.environment.motor)
        q = self.slow(batch.after, step, batch.wanted)
        return target(reward, config.gamma, q, self.policy.log_alpha.detach(), drawn.log_pi), reward

    @torch.no_grad()
    def _follow(self) -> None:
        share = 1.0 - self._config.sac.target_decay
        torch._foreach_lerp_(list(self.slow.parameters()), list(self.q.parameters()), share)

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and moments by name."""
        q = {**flatten("q", self.q.state_dict()), **flatten("slow", self.slow.state_dict())}
        return {**self.policy.tensors(), **q, **flatten("q_optimizer", optimizer_tensors(self.optimizer))}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned."""
        self.policy.load(tensors)
        self.q.load_state_dict(select("q", tensors))
        self.slow.load_state_dict(select("slow", tensors))
        restore_optimizer(self.optimizer, select("q_optimizer", tensors))
