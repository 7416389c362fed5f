"""Laws of the study of hard negatives: arms differ by their bots alone, and what was measured is not measured again."""

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
from benchmarks.support.unseen import UnseenJudge
from tests.serve import published
from tests.shared_data import SHARED
from tests.trainables.detector.tiny import TINY, few, people
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
    """A run of a few weights on a few people."""
    counts = {"train": 100, "validation": 30, "test": 30, "holdout": 2}
    return replace(TINY, epochs=1, data=few(tmp_path_factory.mktemp("few") / "recordings.parquet", counts))


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.gan(tmp_path_factory.mktemp("gan") / "checkpoint")


def kept(weights: str = "a" * 64, hardness: tuple[float, float] = (0.0, 0.5)) -> ServedMovements:
    """Twenty movements as if drawn from the service."""
    request = {"seed": 0, "steps": None, "hardness": [*hardness], "detector": "d", "looked_through": 50}
    return ServedMovements(people(20), CanonicalConfig(), "0001-aaaaaaaaaaaa", weights, request, 0)


def made() -> Sources:
    return Sources(Path("/gan"), Path("/diffusion"), Path("/served"), kept())


# the arms


def test_arms_differ_by_their_bots_alone_and_have_as_many() -> None:
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
    """So that a run that is there already stands when another source is made anew."""
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

    monkeypatch.setattr(sources, "shown", recorded)
    assert sources.published_detector(tiny, tmp_path, QUIET).name == "epoch-0001"
    assert not set(seeds) & set(range(tiny.seed, tiny.seed + 1000))


def test_the_share_that_is_taken_for_people_is_of_all_that_were_looked_through() -> None:
    assert made().taken_for_people == 20 / 50


# what is there already


class Counted:
    """A trainable whose epochs are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.epochs = 0
        whole = TRAINABLES["detector"]
        loop = whole.load().epochs

        def epochs(*arguments: Any, **named: Any) -> Iterator[Any]:
            for epoch in loop(*arguments, **named):
                self.epochs += 1
                yield epoch

        monkeypatch.setitem(TRAINABLES, "detector", whole.with_parts(epochs=epochs))


def test_a_training_that_was_finished_is_found_with_its_figures(
    tiny: DetectorConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, judge = Counted(monkeypatch), UnseenJudge.fit(tiny, "")
    first = outcome(BASE, 0, tiny, judge, tmp_path)
    assert counted.epochs == 2
    judged = list[int]()
    monkeypatch.setattr(hard_negatives, "load_trained_detector", lambda folder: judged.append(1))
    assert outcome(BASE, 0, tiny, judge, tmp_path) == first
    assert (counted.epochs, judged) == (2, [])
    with pytest.raises(ConfigError, match="holds a run with seed=0, but now it is 1"):
        outcome(BASE, 0, replace(tiny, seed=1), judge, tmp_path)


def test_figures_of_another_judgement_are_made_anew_without_a_training(
    tiny: DetectorConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, judge = Counted(monkeypatch), UnseenJudge.fit(tiny, "")
    first = outcome(BASE, 0, tiny, judge, tmp_path)
    fewer = replace(judge, bots={"windmouse": judge.bots["windmouse"]}, told={**judge.told, "families": ["windmouse"]})
    second = outcome(BASE, 0, tiny, fewer, tmp_path)
    assert second.caught == {"windmouse": first.caught["windmouse"]}
    assert counted.epochs == 2


def test_hard_negatives_are_found_and_those_of_another_champion_or_hardness_refused(
    tiny: DetectorConfig, gan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "weights_of", lambda kind, checkpoint: "a" * 64)
    write_served(kept(), tmp_path / "served")
    found = sources.hard_negatives(gan, (0.0, 0.5), tiny, tmp_path, QUIET)
    assert len(found.canonical) == 20
    with pytest.raises(ConfigError, match=r"a{12}, hardness \[0.0, 0.4\], but got a{12}, hardness \[0.0, 0.5\]; take"):
        sources.hard_negatives(gan, (0.0, 0.4), tiny, tmp_path, QUIET)
    monkeypatch.setattr(sources, "weights_of", lambda kind, checkpoint: "b" * 64)
    with pytest.raises(ConfigError, match=r"take another out_dir$"):
        sources.hard_negatives(gan, (0.0, 0.5), tiny, tmp_path, QUIET)


# the judge


class Distance:
    """A detector that takes far movements for bots."""

    def logit(self, canonical: Canonical) -> Tensor:
        """The distance."""
        return canonical.distance_px.double()


def test_the_threshold_is_of_validation_people_and_shares_are_of_what_lies_above(tiny: DetectorConfig) -> None:
    judge = replace(UnseenJudge.fit(tiny, ""), fpr=0.1)
    found = judge(Distance())  # type: ignore[arg-type]
    people_px = sorted(judge.people.distance_px.tolist(), reverse=True)
    threshold = people_px[len(people_px) // 10]
    for family, share in found["caught"].items():
        distances = judge.bots[family].distance_px.tolist()
        assert share == sum(distance > threshold for distance in distances) / len(distances)
    strangers = judge.strangers.distance_px.tolist()
    assert found["accused"] == sum(distance > threshold for distance in strangers) / len(strangers)


def test_families_are_those_held_out_under_the_conditions_of_test_people(tiny: DetectorConfig) -> None:
    judge = UnseenJudge.fit(tiny, "")
    assert set(judge.bots) == set(tiny.negatives.held_out)
    for family, movements in judge.bots.items():
        assert len(movements) == len(FAMILIES[family]) * len(judge.strangers)
        assert set(movements.group) == set(judge.strangers.group)
    assert not set(judge.strangers.group) & set(judge.people.group)


def test_without_a_family_there_is_nothing_to_judge(tiny: DetectorConfig) -> None:
    nothing = replace(tiny, negatives=replace(tiny.negatives, held_out=()))
    with pytest.raises(ConfigError, match=r"expected `families never trained on >= 1`, but got none"):
        UnseenJudge.fit(nothing, "")


def test_others_bots_are_judged_by_their_families(tiny: DetectorConfig) -> None:
    file = SHARED / "bots_thirdparty.parquet"
    if not file.exists():
        pytest.skip(f"{file} is not in the repository: its bots may not be redistributed")
    judge = UnseenJudge.fit(tiny, str(file))
    assert set(tiny.negatives.held_out) < set(judge.bots)
    assert len(judge.bots) > 4
    assert judge.told["bots_sha256"]


# wrong input


@pytest.mark.parametrize(
    ("override", "law"),
    [
        ("seeds=1", "`seeds >= 2`"),
        ("threads=0", "`threads >= 1`"),
        ("hardness=[0.5]", "`hardness` to be [low, high] in [0, 1]"),
        ("hardness=[0.9,0.1]", "`hardness` to be [low, high] in [0, 1]"),
        ("detector.negatives.bots=0.5", "`shares of detector.negatives` to be left to the arms"),
        ("detector.data.canonical.sequence_length=48", "`data` of gan, diffusion and detector to be the same"),
        ("detector.negatives.held_out=[]", "`families never trained on >= 1`"),
        ("bots=nothing.parquet", "nothing.parquet"),
        ("arms=3", "there is no such key"),
    ],
)
def test_a_broken_law_is_one_line_before_anything_is_trained(
    override: str, law: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, [f"out_dir={tmp_path / 'out'}", override]) == WRONG_INPUT
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert law in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["gan_checkpoint", "diffusion_checkpoint"])
def test_a_checkpoint_of_another_kind_is_one_line(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = published.network(tmp_path / "checkpoint")
    assert run(COMMAND, main, [f"out_dir={tmp_path / 'out'}", f"{key}={wrong}"]) == WRONG_INPUT
    kind = key.partition("_")[0]
    assert capsys.readouterr().err == (f"error: {wrong}: expected a checkpoint of kind `{kind}`, but got detector\n")
    assert not (tmp_path / "out").exists()


def test_both_checkpoints_are_looked_at_before_one_is_trained(gan: Path, tmp_path: Path) -> None:
    config = build(StudyConfig, {"diffusion_checkpoint": str(gan)})
    with pytest.raises(ValueError, match=r"expected a checkpoint of kind `diffusion`, but got gan$"):
        sources_of(config, tmp_path / "out", QUIET)
    assert not (tmp_path / "out").exists()


# what is written


def test_the_report_holds_every_outcome_and_what_it_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        Outcome(arm, seed, {"one": 0.1 * seed + 0.2 * number, "two": 0.5}, 0.01)
        for seed in range(2)
        for number, arm in enumerate(ARMS)
    ]
    report(found, {"judge": {"seed": 7}}, 0.01, tmp_path, QUIET)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["judge"] == {"seed": 7}
    assert [Outcome(**each) for each in content["outcomes"]] == found
    assert content["arms"]["simple + hard"]["mean over families - simple"]["mean"] == pytest.approx(0.3)
    assert set(content["families"]) == {"one", "two"}
    assert (tmp_path / "tables.md").read_text() == capsys.readouterr().out
    assert (tmp_path / "picture.png").stat().st_size > 1000
