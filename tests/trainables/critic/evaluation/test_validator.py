"""Validation of a critic: batches of held-out users by source, critics of known accuracy."""

from dataclasses import replace

import pytest
import torch

from tests.trainables.critic.tiny import TINY
from trainables.core.config import ConfigError
from trainables.critic.api import Critic
from trainables.critic.evaluation.baselines import distance
from trainables.critic.evaluation.validator import Validator
from trainables.critic.networks import CriticNetwork, Scale
from trainables.critic.similarity import SIMILARITIES
from trainables.data.canonical import Canonical
from trainables.data.splits.loading import load_splits

CONFIG = replace(TINY, evaluation=replace(TINY.evaluation, batch_size=100, batches=3))
PLAIN = Scale(torch.zeros(4), torch.ones(4), torch.zeros(2), torch.ones(2))


def of_two_sources(movements: Canonical, first: int) -> Canonical:
    """The same movements, as if the first ones were of one recorder and the others of another."""
    names = tuple("one" if row < first else "two" for row in range(len(movements)))
    return replace(movements, source=names)


@pytest.fixture(scope="module")
def validator() -> Validator:
    splits = load_splits(CONFIG.data)
    return Validator.fit(of_two_sources(splits["validation"], 60), of_two_sources(splits["train"], 500), CONFIG)


class Positions(torch.nn.Module):
    """Embeds a state as its position, and a goal as itself."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def embed(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return state[:, :2].double()

    def embed_goal(self, goal: torch.Tensor) -> torch.Tensor:
        return goal.double()


def critic_of(network: torch.nn.Module) -> Critic:
    critic = Critic.__new__(Critic)  # a network of the test's own
    for name, value in {
        "network": network,
        "similarity": "l2",
        "goal_velocity": False,
        "temperature": 1.0,
        "canonical": CONFIG.data.canonical,
    }.items():
        object.__setattr__(critic, name, value)
    return critic


def test_batches_are_of_one_source_and_as_large_as_it_allows(validator: Validator) -> None:
    assert {name: one.scores.batch_size for name, one in validator.by_source.items()} == {"one": 60, "two": 99}
    split = of_two_sources(load_splits(CONFIG.data)["validation"], 60)
    for source, one in validator.by_source.items():
        users = {user for user, its in zip(split.group, split.source, strict=True) if its == source}
        assert set(one.scores.owners) <= users
        assert len(one.scores.owners) == 3 * one.scores.batch_size


def test_a_critic_that_is_the_distance_scores_as_the_distance(validator: Validator) -> None:
    evaluation = validator(critic_of(Positions()))
    for scores in evaluation.sources.values():
        assert float(scores.critic.mean()) == pytest.approx(float(scores.distance.mean()), abs=0.02)
        assert float(scores.distance.mean()) > 10 * float(scores.chance.mean())
        assert float(scores.extrapolation.mean()) >= float(scores.distance.mean()) - 0.05


def test_an_untrained_critic_is_near_chance_and_its_loss_near_its_logarithm(validator: Validator) -> None:
    """The other side: a network of no information; tied scores are shared, so that a constant reads chance exactly."""
    torch.manual_seed(0)
    network = CriticNetwork(CONFIG.model, PLAIN, goal_velocity=False)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    critic = Critic(network, "l2", False, 1.0, CONFIG.data.canonical)
    for scores in validator(critic).sources.values():
        torch.testing.assert_close(scores.critic, scores.chance)
        torch.testing.assert_close(scores.loss, -scores.chance.log(), rtol=1e-5, atol=1e-5)


def test_the_loss_and_the_credit_of_a_row_are_those_of_a_loop(validator: Validator) -> None:
    torch.manual_seed(1)
    network = CriticNetwork(CONFIG.model, PLAIN, goal_velocity=False)
    critic = Critic(network, "l2", False, 1.0, CONFIG.data.canonical)
    one, scores = validator.by_source["one"], validator(critic).sources["one"]
    drawn, negative = one.batches[0], one.negatives[0]
    with torch.no_grad():
        f = SIMILARITIES["l2"](network.embed(drawn.state, drawn.action), network.embed_goal(drawn.goal)).double()
    for i in range(len(f)):
        rows = [j for j in range(len(f)) if j == i or negative[i, j]]
        assert float(scores.chance[i]) == pytest.approx(1 / len(rows))
        assert float(scores.masked[i]) == pytest.approx(1 - (len(rows) - 1) / (len(f) - 1))
        assert float(scores.loss[i]) == pytest.approx(float(f[i, rows].logsumexp(dim=0) - f[i, i]))
        assert float(scores.critic[i]) == float(f[i, i] >= f[i, rows].max())


def test_every_validator_of_a_configuration_draws_the_same_and_another_seed_other_goals(validator: Validator) -> None:
    splits = load_splits(CONFIG.data)
    parts = of_two_sources(splits["validation"], 60), of_two_sources(splits["train"], 500)
    again = Validator.fit(*parts, replace(CONFIG, seed=5, batch_size=16, gamma=0.5))
    other = Validator.fit(*parts, replace(CONFIG, evaluation=replace(CONFIG.evaluation, seed=1)))
    for source, one in validator.by_source.items():
        assert torch.equal(distance(one.batches[0]), distance(again.by_source[source].batches[0]))
        assert not torch.equal(distance(one.batches[0]), distance(other.by_source[source].batches[0]))


def test_a_source_of_one_movement_is_refused() -> None:
    splits = load_splits(CONFIG.data)
    with pytest.raises(ConfigError, match=r"^expected `movements of a source >= 2`, but got 1 of one; give more"):
        Validator.fit(of_two_sources(splits["validation"], 1), splits["train"], CONFIG)
