"""Properties of the embedding probes: encoded labels are found, others are at chance, and each finding names which."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.trainables.detector.tiny import human
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.labels import LabelMap, task_names
from trainables.detector.evaluation.embedding_probes import (
    EMBODIMENT,
    PAIRS,
    TASK,
    EmbeddingProbe,
    EmbeddingProbes,
    Embeddings,
    probe_embeddings,
)
from trainables.eval.detection.linear_probe import ProbeResult
from trainables.eval.intervals.cluster_bootstrap import Estimate
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = BootstrapConfig(replicates=200)
COUNT, USERS, WIDTH = 300, 12, 8


@pytest.fixture(scope="module")
def humans() -> Canonical:
    """Return movements of a dozen users whose tasks are independent of the user."""
    return replace(human(COUNT), group=tuple(f"user {row % USERS}" for row in range(COUNT)))


def noise(seed: int) -> Tensor:
    return torch.randn(2 * COUNT, WIDTH, generator=generator(seed, "noise"))


def one_hot(names: tuple[str, ...]) -> Tensor:
    """Return a direction per name."""
    labels = LabelMap.of("name", names)
    return F.one_hot(labels.encode(names), len(labels.names)).float()


def tasks(movements: Canonical) -> Tensor:
    return 5 * one_hot(task_names(movements)) + 0.1 * noise(1)[:, :1]


def bodies(movements: Canonical) -> Tensor:
    """Return the embeddings of users, then of as many bots."""
    is_bot = torch.arange(len(movements)) >= len(movements) // 2
    return noise(2) + 4 * torch.stack([is_bot, ~is_bot], dim=1).float().repeat(1, WIDTH // 2)


def separate(movements: Canonical) -> Embeddings:
    """Return embeddings that each encode their own label alone."""
    return {TASK: tasks(movements), EMBODIMENT: bodies(movements)}


def mixed(movements: Canonical) -> Embeddings:
    """Return embeddings that both encode both labels."""
    both = torch.cat([tasks(movements), bodies(movements)], dim=1)
    return {TASK: both, EMBODIMENT: both}


def silent(movements: Canonical) -> Embeddings:
    """Return embeddings without information."""
    return {TASK: noise(3), EMBODIMENT: noise(4)}


def probed(embed: object, humans: Canonical, **changes: object) -> EmbeddingProbes:
    return probe_embeddings(embed, humans, CanonicalConfig(), CONFIG, 7, **changes)  # type: ignore[arg-type]


def by_pair(found: EmbeddingProbes) -> dict[tuple[str, str], EmbeddingProbe]:
    assert [(probe.label, probe.embedding) for probe in found.probes] == list(PAIRS)
    return dict(zip(PAIRS, found.probes, strict=True))


def test_separate_embeddings_are_as_expected(humans: Canonical) -> None:
    """Own labels are certain. Null: over 25 seeds the s.d. is 0.014 for 16 tasks, 0.026 for embodiment; 4.5 of them."""
    found = by_pair(probed(separate, humans))
    for label in (TASK, EMBODIMENT):
        assert found[label, label].result.accuracy.low > 0.9
        assert found[label, label].is_as_expected
        assert f"as expected: the {label} embedding encodes the {label} (" in found[label, label].finding
    assert found[TASK, EMBODIMENT].result.accuracy.value == pytest.approx(found[TASK, TASK].result.chance, abs=0.063)
    assert found[EMBODIMENT, TASK].result.accuracy.value == pytest.approx(0.5, abs=0.117)


def test_mixed_embeddings_are_not_as_expected(humans: Canonical) -> None:
    found = by_pair(probed(mixed, humans))
    assert [found[pair].is_as_expected for pair in PAIRS] == [True, True, False, False]
    assert "NOT as expected: the embodiment embedding encodes the task" in found[TASK, EMBODIMENT].finding


def test_embeddings_without_information_are_not_as_expected_for_their_own_labels(humans: Canonical) -> None:
    """Bounds as above."""
    found = by_pair(probed(silent, humans))
    for label in (TASK, EMBODIMENT):
        assert not found[label, label].is_as_expected
        assert f"NOT as expected: the {label} embedding" in found[label, label].finding
    for pair in PAIRS:
        bound = 0.063 if pair[0] == TASK else 0.117
        assert found[pair].result.accuracy.value == pytest.approx(found[pair].result.chance, abs=bound)


def test_as_many_bots_as_humans_are_probed_over_the_same_folds(humans: Canonical) -> None:
    found = probed(separate, humans)
    assert (found.humans, found.bots, found.users) == (COUNT, COUNT, USERS)
    for probe in found.probes:
        assert probe.result.n + sum(probe.result.left_out.values()) == 2 * COUNT
    assert found == probed(separate, humans)


def test_only_directions_are_read(humans: Canonical) -> None:
    """Embeddings that encode the embodiment in their length alone count as without information."""

    def long(movements: Canonical) -> Embeddings:
        length = torch.where(torch.arange(len(movements)) < len(movements) // 2, 1.0, 50.0)[:, None]
        return {TASK: noise(3) * length, EMBODIMENT: noise(4)}

    one, other = by_pair(probed(long, humans)), by_pair(probed(silent, humans))
    pair = (EMBODIMENT, TASK)
    assert one[pair].result.accuracy.value == pytest.approx(other[pair].result.accuracy.value, abs=1e-9)


@pytest.mark.parametrize(
    ("label", "value", "low", "expected", "message"),
    [
        (TASK, 0.55, 0.45, True, "encodes the task"),  # half of the way from 0.1 to 1
        (TASK, 0.54, 0.45, False, "partly (49 %) encodes the task"),
        (TASK, 0.12, 0.09, False, "does not encode the task"),
        (EMBODIMENT, 0.12, 0.10, True, "does not encode the embodiment"),
        (EMBODIMENT, 0.14, 0.11, False, "partly (4 %) encodes the embodiment"),
    ],
)
def test_the_finding_states_the_result(label: str, value: float, low: float, expected: bool, message: str) -> None:
    """The probe is of a task embedding with ten classes."""
    result = ProbeResult(Estimate(value, low, value + 0.05, 200), {f"c{k}": value for k in range(10)}, {}, 100)
    probe = EmbeddingProbe(label, TASK, result)
    assert probe.is_as_expected == expected
    assert f"the task embedding {message} (balanced accuracy {value:.3f}" in probe.finding


def test_the_table_and_the_json_hold_every_probe(humans: Canonical) -> None:
    found = probed(mixed, humans)
    rows = found.table().rows
    assert [row[4] for row in rows] == ["yes", "yes", "NO", "NO"]
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [probe["is_as_expected"] for probe in content["probes"]] == [True, True, False, False]
    assert [probe["finding"] for probe in content["probes"]] == list(found.findings)


def test_too_few_users_are_refused(humans: Canonical) -> None:
    with pytest.raises(ConfigError, match="folds <= groups"):
        probed(separate, humans, folds=USERS + 1)
