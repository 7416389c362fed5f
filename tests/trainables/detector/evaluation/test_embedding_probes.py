"""Laws of the probes of embeddings: what is there is found, what is not is at chance, and each says which it is."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.trainables.detector.tiny import people
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
COUNT, PERSONS, WIDTH = 300, 12, 8


@pytest.fixture(scope="module")
def met() -> Canonical:
    """Movements as those of a dozen people, whose tasks have nothing to do with who did them."""
    return replace(people(COUNT), group=tuple(f"person {row % PERSONS}" for row in range(COUNT)))


def noise(seed: int) -> Tensor:
    return torch.randn(2 * COUNT, WIDTH, generator=generator(seed, "noise"))


def told(names: tuple[str, ...]) -> Tensor:
    """Each name as a direction of its own."""
    found = LabelMap.of("name", names)
    return F.one_hot(found.encode(names), len(found.names)).float()


def tasks(movements: Canonical) -> Tensor:
    return 5 * told(task_names(movements)) + 0.1 * noise(1)[:, :1]


def bodies(movements: Canonical) -> Tensor:
    """People come first, and as many bots after them."""
    is_bot = torch.arange(len(movements)) >= len(movements) // 2
    return noise(2) + 4 * torch.stack([is_bot, ~is_bot], dim=1).float().repeat(1, WIDTH // 2)


def separate(movements: Canonical) -> Embeddings:
    """A detector as it is wanted."""
    return {TASK: tasks(movements), EMBODIMENT: bodies(movements)}


def mixed(movements: Canonical) -> Embeddings:
    """Both embeddings tell both labels."""
    both = torch.cat([tasks(movements), bodies(movements)], dim=1)
    return {TASK: both, EMBODIMENT: both}


def silent(movements: Canonical) -> Embeddings:
    """Neither tells anything."""
    return {TASK: noise(3), EMBODIMENT: noise(4)}


def probed(embed: object, met: Canonical, **changes: object) -> EmbeddingProbes:
    return probe_embeddings(embed, met, CanonicalConfig(), CONFIG, 7, **changes)  # type: ignore[arg-type]


def named(found: EmbeddingProbes) -> dict[tuple[str, str], EmbeddingProbe]:
    assert [(probe.label, probe.embedding) for probe in found.probes] == list(PAIRS)
    return dict(zip(PAIRS, found.probes, strict=True))


def test_a_detector_that_keeps_them_apart_is_as_wanted(met: Canonical) -> None:
    """Own labels are certain. Null: over 25 seeds the s.d. is 0.014 for 16 tasks, 0.026 for embodiment; 4.5 of them."""
    found = named(probed(separate, met))
    for label in (TASK, EMBODIMENT):
        assert found[label, label].found.accuracy.low > 0.9
        assert found[label, label].is_as_wanted
        assert f"as wanted: the {label} embedding tells the {label} (" in found[label, label].finding
    assert found[TASK, EMBODIMENT].found.accuracy.value == pytest.approx(found[TASK, TASK].found.chance, abs=0.063)
    assert found[EMBODIMENT, TASK].found.accuracy.value == pytest.approx(0.5, abs=0.117)


def test_a_detector_that_mixes_them_is_found_out(met: Canonical) -> None:
    found = named(probed(mixed, met))
    assert [found[pair].is_as_wanted for pair in PAIRS] == [True, True, False, False]
    assert "NOT as wanted: the embodiment embedding tells the task" in found[TASK, EMBODIMENT].finding


def test_embeddings_that_say_nothing_are_not_as_wanted_of_their_own_labels(met: Canonical) -> None:
    """Bounds as above."""
    found = named(probed(silent, met))
    for label in (TASK, EMBODIMENT):
        assert not found[label, label].is_as_wanted
        assert f"NOT as wanted: the {label} embedding" in found[label, label].finding
    for pair in PAIRS:
        bound = 0.063 if pair[0] == TASK else 0.117
        assert found[pair].found.accuracy.value == pytest.approx(found[pair].found.chance, abs=bound)


def test_as_many_bots_as_people_are_probed_over_the_same_folds(met: Canonical) -> None:
    found = probed(separate, met)
    assert (found.people, found.bots, found.groups) == (COUNT, COUNT, PERSONS)
    for probe in found.probes:
        assert probe.found.n + sum(probe.found.left_out.values()) == 2 * COUNT
    assert found == probed(separate, met)


def test_only_directions_are_read(met: Canonical) -> None:
    """Embeddings whose lengths alone tell the embodiment tell nothing."""

    def long(movements: Canonical) -> Embeddings:
        length = torch.where(torch.arange(len(movements)) < len(movements) // 2, 1.0, 50.0)[:, None]
        return {TASK: noise(3) * length, EMBODIMENT: noise(4)}

    one, other = named(probed(long, met)), named(probed(silent, met))
    pair = (EMBODIMENT, TASK)
    assert one[pair].found.accuracy.value == pytest.approx(other[pair].found.accuracy.value, abs=1e-9)


@pytest.mark.parametrize(
    ("label", "value", "low", "wanted", "says"),
    [
        (TASK, 0.55, 0.45, True, "tells the task"),  # half of the way from 0.1 to 1
        (TASK, 0.54, 0.45, False, "tells a part (49 %) of the task"),
        (TASK, 0.12, 0.09, False, "does not tell the task"),
        (EMBODIMENT, 0.12, 0.10, True, "does not tell the embodiment"),
        (EMBODIMENT, 0.14, 0.11, False, "tells a part (4 %) of the embodiment"),
    ],
)
def test_the_sentence_says_what_the_figures_do(label: str, value: float, low: float, wanted: bool, says: str) -> None:
    """Of a task embedding with ten classes."""
    result = ProbeResult(Estimate(value, low, value + 0.05, 200), {f"c{k}": value for k in range(10)}, {}, 100)
    probe = EmbeddingProbe(label, TASK, result)
    assert probe.is_as_wanted == wanted
    assert f"the task embedding {says} (balanced accuracy {value:.3f}" in probe.finding


def test_the_sheet_and_the_json_hold_every_probe(met: Canonical) -> None:
    found = probed(mixed, met)
    rows = found.sheet().rows
    assert [row[4] for row in rows] == ["yes", "yes", "NO", "NO"]
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [probe["is_as_wanted"] for probe in content["probes"]] == [True, True, False, False]
    assert [probe["finding"] for probe in content["probes"]] == list(found.findings)


def test_too_few_people_are_no_probe(met: Canonical) -> None:
    with pytest.raises(ConfigError, match="folds <= groups"):
        probed(separate, met, folds=PERSONS + 1)
