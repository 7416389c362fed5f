"""The linear probe: chance without information, its metrics by definition, and users never in two folds."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.eval.detection import linear_probe as module
from trainables.eval.detection.linear_probe import ProbeResult, balanced_logistic, linear_probe
from trainables.eval.intervals.cluster_bootstrap import Estimate
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = BootstrapConfig(replicates=200)
USERS = 20
CLASSES = ("north", "south", "west")


def probe(embeddings: Tensor, labels: list[str], groups: list[str], folds: int = 5) -> ProbeResult:
    return linear_probe(embeddings, labels, groups, generator(0, "probe"), folds=folds, config=CONFIG)


def drawn(seed: int, count: int = 600, weights: tuple[float, ...] = (1, 1, 1)) -> tuple[Tensor, list[str], list[str]]:
    """Return noise with unrelated labels and users."""
    random = generator(seed, "embeddings")
    noise = torch.randn(count, 8, generator=random, dtype=torch.float64)
    label = torch.multinomial(torch.tensor(weights, dtype=torch.float64), count, replacement=True, generator=random)
    group = torch.randint(USERS, (count,), generator=random)
    return noise, [CLASSES[k] for k in label.tolist()], [f"user {k}" for k in group.tolist()]


def informed(noise: Tensor, labels: list[str], strength: float) -> Tensor:
    one_hot = torch.tensor([[float(label == name) for name in CLASSES] for label in labels], dtype=torch.float64)
    return torch.cat([noise[:, 3:], noise[:, :3] + strength * one_hot], dim=1)


@pytest.mark.parametrize("weights", [(1, 1, 1), (8, 1, 1)])
def test_an_embedding_without_information_is_at_chance(weights: tuple[float, ...]) -> None:
    """Null: the s.d. over 100 seeds is 0.024 for equal classes, 0.036 for 8 : 1 : 1; 4 of them (6e-5)."""
    found = probe(*drawn(1, weights=weights))
    assert found.chance == 1 / 3
    assert found.accuracy.value == pytest.approx(1 / 3, abs=0.096 if len(set(weights)) == 1 else 0.144)
    assert (found.n, found.left_out) == (600, {})


@pytest.mark.parametrize("weights", [(1, 1, 1), (8, 1, 1)])
def test_encoded_classes_are_detected_even_if_rare(weights: tuple[float, ...]) -> None:
    """Alternative: classes 3 s.d. apart; over 100 seeds no interval begins and no recall is below 0.88 (s.d. 0.023)."""
    noise, labels, groups = drawn(2, weights=weights)
    found = probe(informed(noise, labels, 3.0), labels, groups)
    assert found.accuracy.low > 0.8
    assert min(found.recall.values()) > 0.75
    assert not found.is_near_chance


def test_a_rare_class_is_not_neglected_for_a_common_one() -> None:
    """Classes 1.5 s.d. apart, 8 : 1 : 1: the least recall is 0.71 (s.d. 0.038; 4.5: 7e-6), else 0.44."""
    noise, labels, groups = drawn(9, weights=(8, 1, 1))
    found = probe(informed(noise, labels, 1.5), labels, groups)
    assert min(found.recall.values()) > 0.53


def test_metrics_are_those_of_scikit_learn_on_held_out_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    noise, labels, groups = drawn(3)
    answers = [CLASSES[k % 3] if k % 4 else label for k, label in enumerate(labels)]
    numbers = np.array([CLASSES.index(answer) for answer in answers])
    monkeypatch.setattr(module, "_held_out_predictions", lambda *arguments: numbers)
    found = probe(noise, labels, groups)
    assert found.accuracy.value == pytest.approx(balanced_accuracy_score(labels, answers))
    for name in CLASSES:
        of_class = [a == name for a, label in zip(answers, labels, strict=True) if label == name]
        assert found.recall[name] == pytest.approx(sum(of_class) / len(of_class))
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def test_no_user_is_in_the_training_and_the_test_rows_of_a_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    noise, labels, groups = drawn(4)
    noise[:, 0] = torch.tensor([float(group.split()[1]) for group in groups])
    fits: list[tuple[set[float], set[float]]] = []

    class Spy:
        def fit(self, x: np.ndarray, y: np.ndarray) -> "Spy":
            self.human = set(x[:, 0])
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:
            fits.append((self.human, set(x[:, 0])))
            return np.zeros(len(x), dtype=np.int64)

    monkeypatch.setattr(module, "balanced_logistic", Spy)
    assert probe(noise, labels, groups).accuracy.value == pytest.approx(1 / 3)
    assert all(not trained & predicted for trained, predicted in fits)
    assert set().union(*(predicted for _, predicted in fits)) == {float(k) for k in range(USERS)}


def test_recognising_a_user_does_not_help() -> None:
    """40 users, each with its own mean and one label: the accuracy is 0.51 (s.d. 0.093; 4 of them: 3e-5)."""
    random = generator(5, "people")
    user = torch.arange(40).repeat_interleave(12)
    means = 6 * torch.randn(40, 30, generator=random, dtype=torch.float64)
    x = means[user] + 0.1 * torch.randn(480, 30, generator=random, dtype=torch.float64)
    labels = [CLASSES[k % 2] for k in user.tolist()]
    leaky = balanced_logistic().fit(x[::2].numpy(), labels[::2]).score(x[1::2].numpy(), labels[1::2])
    assert leaky > 0.95
    assert probe(x, labels, [f"user {k}" for k in user.tolist()]).accuracy.value < 0.88


def test_a_class_of_too_few_users_is_left_out_by_name_and_count() -> None:
    noise, labels, groups = drawn(6)
    at = [row for row, group in enumerate(groups) if group in ("user 1", "user 2", "user 3")][:9]
    for row in at:
        labels[row] = "rare"
    found = probe(noise, labels, groups)
    assert (found.left_out, found.n, found.chance) == ({"rare": 9}, 591, 1 / 3)
    assert set(found.recall) == set(CLASSES)


def test_near_chance_means_that_the_interval_contains_it_or_lies_below() -> None:
    for low, near in ((0.2, True), (1 / 3, True), (0.34, False)):
        result = ProbeResult(Estimate(0.4, low, 0.5, 200), dict.fromkeys(CLASSES, 0.4), {}, 600)
        assert result.is_near_chance == near


def test_the_same_call_gives_the_same_result() -> None:
    assert probe(*drawn(7)) == probe(*drawn(7))


def test_invalid_input_is_refused() -> None:
    noise, labels, groups = drawn(8, 300)
    with pytest.raises(ConfigError, match=r"2 <= folds <= groups.*folds=21 and 20 groups"):
        probe(noise, labels, groups, folds=21)
    with pytest.raises(ConfigError, match=r"classes in at least 5 groups >= 2.*got 1 of 1"):
        probe(noise, ["one"] * 300, groups)
    with pytest.raises(ValueError, match="300, 299 and 300"):
        probe(noise, labels[1:], groups)
    noise[4, 2] = torch.nan
    with pytest.raises(ValueError, match="got nan in row 4, column 2"):
        probe(noise, labels, groups)
