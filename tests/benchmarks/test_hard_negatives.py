"""Tests of the study of hard negatives: arms differ only in their bots, and finished work is reused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from torch import Tensor

from benchmarks import hard_negatives
from benchmarks.hard_negatives import ARMS, BASE, COMMAND, StudyConfig, detector_of, main, outcome, report, sources_of
from benchmarks.support import sources
from benchmarks.support.arms import Outcome
from benchmarks.support.sources import Sources, trained
from benchmarks.support.unseen import UnseenEvaluator
from tests.serve import published
from tests.shared_data import SHARED
from tests.trainables.detector.tiny import TINY, few, human
from trainables.core.cli import WRONG_INPUT, run
from trainables.core.config import ConfigError, build
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.served_negatives import ServedMovements, write_served
from trainables.specs import TRAINABLES
from trainables.training.run_folder import RunFolder

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DetectorConfig:
    """Configuration of a small detector on few users."""
    counts = {"train": 100, "validation": 30, "test": 30, "holdout": 2}
    return replace(TINY, epochs=1, data=few(tmp_path_factory.mktemp("few") / "recordings.parquet", counts))


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.gan(tmp_path_factory.mktemp("gan") / "checkpoint")


def stored(weights: str = "a" * 64, hardness: tuple[float, float] = (0.0, 0.5)) -> ServedMovements:
    """Return twenty movements in the form of those of the service."""
    request = {"seed": 0, "steps": None, "hardness": [*hardness], "detector": "d", "looked_through": 50}
    return ServedMovements(human(20), CanonicalConfig(), "0001-aaaaaaaaaaaa", weights, request, 0)


def made() -> Sources:
    return Sources(Path("/gan"), Path("/diffusion"), Path("/served"), stored())


# the arms


def test_arms_differ_only_in_their_bots_and_have_the_same_number() -> None:
    base = detector_of(BASE, 3, DetectorConfig(seed=10), made())
    assert base.seed == 13
    assert base.negatives == DetectorConfig().negatives
    for arm, shares in ARMS.items():
        config = detector_of(arm, 3, DetectorConfig(seed=10), made())
        assert replace(config, negatives=base.negatives) == base
        assert (config.negatives.alpha, config.negatives.held_out) == (1.0, base.negatives.held_out)
        assert {name: share for name, share in config.negatives.shares.items() if share} == shares
        assert sum(shares.values()) == 1.0


def test_an_arm_names_its_own_sources_only() -> None:
    """A finished run stays valid when a source of another arm is made anew."""
    for arm, shares in ARMS.items():
        found = detector_of(arm, 0, DetectorConfig(), made()).negatives
        places = {"gan": found.gan_checkpoint, "diffusion": found.diffusion_checkpoint, "served": found.served_folder}
        assert {name: place for name, place in places.items() if place} == {
            name: f"/{name}" for name in places if name in shares
        }


def test_the_published_detector_has_a_seed_that_no_arm_has(
    tiny: DetectorConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = list[int]()

    def recorded(kind: str, config: DetectorConfig, *_: Any) -> RunFolder:
        seeds.append(config.seed)
        return trained(kind, config, tmp_path / "run")

    monkeypatch.setattr(sources, "trained_with_progress", recorded)
    assert sources.published_detector(tiny, tmp_path, QUIET).name == "epoch-0001"
    assert not set(seeds) & set(range(tiny.seed, tiny.seed + 1000))


def test_the_share_of_hard_negatives_is_of_all_scanned_samples() -> None:
    assert made().hard_share == 20 / 50


# what is there already


class Counted:
    """Counts the epochs of a trainable."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epochs = 0
        whole = TRAINABLES["detector"]
        loop = whole.load().epochs

        def epochs(*arguments: Any, **named: Any) -> Iterator[Any]:
            for epoch in loop(*arguments, **named):
                self.epochs += 1
                yield epoch

        monkeypatch.setitem(TRAINABLES, "detector", whole.with_parts(epochs=epochs))


def test_a_finished_training_is_reused_with_its_evaluation(
    tiny: DetectorConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, evaluator = Counted(monkeypatch), UnseenEvaluator.of(tiny, "")
    first = outcome(BASE, 0, tiny, evaluator, tmp_path)
    assert counted.epochs == 2
    evaluated = list[int]()
    monkeypatch.setattr(hard_negatives, "load_trained_detector", lambda folder: evaluated.append(1))
    assert outcome(BASE, 0, tiny, evaluator, tmp_path) == first
    assert (counted.epochs, evaluated) == (2, [])
    with pytest.raises(ConfigError, match="holds a run with seed=0, but now it is 1"):
        outcome(BASE, 0, replace(tiny, seed=1), evaluator, tmp_path)


def test_other_evaluation_settings_are_evaluated_without_a_training(
    tiny: DetectorConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, evaluator = Counted(monkeypatch), UnseenEvaluator.of(tiny, "")
    first = outcome(BASE, 0, tiny, evaluator, tmp_path)
    fewer = replace(
        evaluator,
        bots={"windmouse": evaluator.bots["windmouse"]},
        settings={**evaluator.settings, "families": ["windmouse"]},
    )
    second = outcome(BASE, 0, tiny, fewer, tmp_path)
    assert second.tpr == {"windmouse": first.tpr["windmouse"]}
    assert counted.epochs == 2


def test_hard_negatives_are_reused_and_those_of_another_champion_or_hardness_refused(
    tiny: DetectorConfig, gan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "weights_of", lambda kind, checkpoint: "a" * 64)
    write_served(stored(), tmp_path / "served")
    found = sources.hard_negatives(gan, (0.0, 0.5), tiny, tmp_path, QUIET)
    assert len(found.canonical) == 20
    with pytest.raises(ConfigError, match=r"a{12}, hardness \[0.0, 0.4\], but got a{12}, hardness \[0.0, 0.5\]; use"):
        sources.hard_negatives(gan, (0.0, 0.4), tiny, tmp_path, QUIET)
    monkeypatch.setattr(sources, "weights_of", lambda kind, checkpoint: "b" * 64)
    with pytest.raises(ConfigError, match=r"use another out_dir$"):
        sources.hard_negatives(gan, (0.0, 0.5), tiny, tmp_path, QUIET)


# evaluation


class Distance:
    """Detector that takes far movements for bots."""

    def logit(self, canonical: Canonical) -> Tensor:
        """Return the distance."""
        return canonical.distance_px.double()


def test_the_threshold_is_that_of_validation_users_and_rates_are_shares_above_it(tiny: DetectorConfig) -> None:
    evaluator = replace(UnseenEvaluator.of(tiny, ""), fpr=0.1)
    found = evaluator(Distance())  # type: ignore[arg-type]
    users_px = sorted(evaluator.validation.distance_px.tolist(), reverse=True)
    threshold = users_px[len(users_px) // 10]
    for family, share in found["tpr"].items():
        distances = evaluator.bots[family].distance_px.tolist()
        assert share == sum(distance > threshold for distance in distances) / len(distances)
    test_px = evaluator.test.distance_px.tolist()
    assert found["fpr"] == sum(distance > threshold for distance in test_px) / len(test_px)


def test_families_are_those_held_out_under_the_conditions_of_test_users(tiny: DetectorConfig) -> None:
    evaluator = UnseenEvaluator.of(tiny, "")
    assert set(evaluator.bots) == set(tiny.negatives.held_out)
    for family, movements in evaluator.bots.items():
        assert len(movements) == len(FAMILIES[family]) * len(evaluator.test)
        assert set(movements.group) == set(evaluator.test.group)
    assert not set(evaluator.test.group) & set(evaluator.validation.group)


def test_without_a_family_there_is_nothing_to_evaluator(tiny: DetectorConfig) -> None:
    nothing = replace(tiny, negatives=replace(tiny.negatives, held_out=()))
    with pytest.raises(ConfigError, match=r"expected at least one unseen family, but got none"):
        UnseenEvaluator.of(nothing, "")


@pytest.mark.heavy
def test_others_bots_are_evaluated_by_their_families(tiny: DetectorConfig) -> None:
    file = SHARED / "bots_thirdparty.parquet"
    if not file.exists():
        pytest.skip(f"{file} is not in the repository: its bots may not be redistributed")
    evaluator = UnseenEvaluator.of(tiny, str(file))
    assert set(tiny.negatives.held_out) < set(evaluator.bots)
    assert len(evaluator.bots) > 4
    assert evaluator.settings["bots_sha256"]


# wrong input


@pytest.mark.parametrize(
    ("override", "law"),
    [
        ("seeds=1", "`seeds >= 2`"),
        ("threads=0", "`threads >= 1`"),
        ("hardness=[0.5]", "`hardness` to have 2 entries"),
        ("hardness=[0.9,0.1]", "`hardness` to be [low, high]"),
        ("hardness=[0.9,1.1]", "expected `0 <= hardness <= 1`, but got hardness=1.1"),
        ("detector.negatives.bots=0.5", "the default shares in `detector.negatives`"),
        ("detector.data.canonical.sequence_length=48", "`data` of gan, diffusion and detector to be the same"),
        ("detector.negatives.held_out=[]", "at least one unseen family"),
        ("bots=nothing.parquet", "nothing.parquet"),
        ("arms=3", "unknown key arms"),
    ],
)
def test_wrong_input_is_one_line_before_anything_is_trained(
    override: str, law: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, [f"out_dir={tmp_path / 'out'}", override]) == WRONG_INPUT
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert law in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["gan_checkpoint", "diffusion_checkpoint"])
def test_a_checkpoint_of_another_kind_is_one_line(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = published.network(tmp_path / "checkpoint")
    assert run(COMMAND, main, [f"out_dir={tmp_path / 'out'}", f"{key}={wrong}"]) == WRONG_INPUT
    kind = key.partition("_")[0]
    assert capsys.readouterr().err == (f"error: {wrong}: expected a checkpoint of kind `{kind}`, but got detector\n")
    assert not (tmp_path / "out").exists()


def test_both_checkpoints_are_checked_before_one_is_trained(gan: Path, tmp_path: Path) -> None:
    config = build(StudyConfig, {"diffusion_checkpoint": str(gan)})
    with pytest.raises(ValueError, match=r"expected a checkpoint of kind `diffusion`, but got gan$"):
        sources_of(config, tmp_path / "out", QUIET)
    assert not (tmp_path / "out").exists()


# what is written


def test_the_report_holds_every_outcome_and_its_context(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        Outcome(arm, seed, {"one": 0.1 * seed + 0.2 * number, "two": 0.5}, 0.01)
        for seed in range(2)
        for number, arm in enumerate(ARMS)
    ]
    report(found, {"evaluation": {"seed": 7}}, 0.01, tmp_path, QUIET)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["evaluation"] == {"seed": 7}
    assert [Outcome(**each) for each in content["outcomes"]] == found
    assert content["arms"]["simple + hard"]["mean TPR - simple"]["mean"] == pytest.approx(0.3)
    assert set(content["families"]) == {"one", "two"}
    assert (tmp_path / "tables.md").read_text() == capsys.readouterr().out
    assert (tmp_path / "plot.png").stat().st_size > 1000
