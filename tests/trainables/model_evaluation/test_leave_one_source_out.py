"""Leave one source out: models that never met a source, beside one that did, on the same users of that source."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.special import stdtrit

from platform import evaluate
from tests.trainables.data.source_tables import write_sources
from trainables.core.config import ConfigError, build
from trainables.data.config import DataConfig
from trainables.data.readers.left_out import LEFT_OUT
from trainables.data.splits.loading import load_splits
from trainables.detector.api import load_trained_detector
from trainables.detector.config import DetectorConfig, DetectorModelConfig
from trainables.detector.train import epochs as detector_epochs
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval
from trainables.gan.config import GanConfig, GanModelConfig
from trainables.gan.train import epochs
from trainables.model_evaluation.leave_one_source_out import LeftOut, laboratories_of, of_sources, table_of
from trainables.model_evaluation.reevaluate import evaluate as evaluate_again
from trainables.model_evaluation.result import EvaluationResult
from trainables.model_evaluation.source_table import MEAN, numbers_of, source_tables
from trainables.models import load_generator
from trainables.specs import TRAINABLES
from trainables.training import metric_names as names
from trainables.training.checkpoint import load_record
from trainables.training.run_folder import CHECKPOINTS, METRICS

SOURCES = ("first", "second")
MODEL = GanModelConfig(widths=(8, 12), latent_dim=4, noise_channels=2, embedding_dim=16)
EVALUATION = EvaluationConfig(probes=("features",), folds=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    return write_sources(tmp_path_factory.mktemp("sources") / "table.parquet", *SOURCES)


@pytest.fixture(scope="module")
def gan(data: DataConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A briefly trained generator of both sources."""
    folder = tmp_path_factory.mktemp("gan") / "checkpoint"
    config = GanConfig(epochs=1, steps_per_epoch=1, batch_size=8, model=MODEL, evaluation=EVALUATION, data=data)
    *_, last = epochs(config)
    last.save(folder)
    return folder


def leave_one_source_out(checkpoint: Path, folder: Path) -> Mapping[str, Any]:
    assert evaluate.main([f"ckpt={checkpoint}", "leave_one_source_out=true", f"out_dir={folder}"]) == 0
    return dict(json.loads((folder / "leave_one_source_out.json").read_text()))


@pytest.mark.heavy
def test_a_generator_without_each_source_is_evaluated_beside_that_of_all(
    gan: Path, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = leave_one_source_out(gan, tmp_path / "out")
    printed = capsys.readouterr().out
    assert "2 models, each without one of first, second: 2 epochs to train, about" in printed
    assert set(found["left_out"]) == set(SOURCES)
    splits = load_splits(data)
    for source, one in found["left_out"].items():
        fold = load_record(tmp_path / "out" / source / CHECKPOINTS / "best")
        own = build(DataConfig, fold["config"]["data"])
        assert set(load_splits(own)["train"].source) == set(SOURCES) - {source}
        validator = Validator.fit(
            of_sources(splits["validation"], [source]), splits["train"], own.canonical, EVALUATION
        )
        model = load_generator(tmp_path / "out" / source / CHECKPOINTS / "best")
        expected = validator(model.sample_matching(validator.held_out, seed=found["settings"]["seed"]))
        assert one["without_it"][names.VAL_AUC_EXCESS]["value"] == expected[names.VAL_AUC_EXCESS]
        seen = one["trained_on_all"][names.VAL_AUC_EXCESS]["value"]
        assert one["difference"][names.VAL_AUC_EXCESS]["value"] == expected[names.VAL_AUC_EXCESS] - seen
        assert one["users"] - 1 == one["without_it"][names.VAL_AUC_EXCESS]["df"]
    table = (tmp_path / "out" / "leave_one_source_out.md").read_text()
    assert [line.split(" | ")[0] for line in table.splitlines()[4:]] == ["| first", "| second", "| mean"]
    logs = [(tmp_path / "out" / source / METRICS).read_text() for source in SOURCES]
    assert leave_one_source_out(gan, tmp_path / "out") == found
    assert [(tmp_path / "out" / source / METRICS).read_text() for source in SOURCES] == logs
    assert "all complete" in capsys.readouterr().out


def test_a_re_evaluation_holds_the_numbers_of_each_source(gan: Path, data: DataConfig) -> None:
    found = evaluate_again(gan, "validation", [1, 2])
    assert EvaluationResult.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    assert set(found.sources) == set(SOURCES)
    for name in (names.VAL_AUC_EXCESS, names.probe_auc("features"), names.probe_floor("features")):
        values = [one.metrics[name].value for one in found.sources.values()]
        assert found.metrics[name].value == pytest.approx(sum(values) / 2)
        assert len(found.metrics[name].without) == len(found.users)
    for source, one in found.sources.items():
        assert one.kept == load_splits(data).kept[source].share
        assert interval(one.metrics[names.VAL_AUC_EXCESS]).df == len(one.users) - 1
    assert sum(one.movements for one in found.sources.values()) == found.movements
    [table] = source_tables(numbers_of(found))
    metrics = [*(one.metrics for one in found.sources.values()), found.metrics]
    excess = [of[names.VAL_AUC_EXCESS].value for of in metrics]
    assert [row[0] for row in table.rows] == [*SOURCES, MEAN]
    assert [row[-1].split()[0] for row in table.rows] == [f"{value:.3f}" for value in excess]
    assert source_tables(numbers_of(replace(found, sources={}))) == ()


@pytest.mark.heavy
def test_the_users_of_a_source_left_out_are_flagged_at_the_threshold_of_the_others(
    data: DataConfig, tmp_path: Path
) -> None:
    model = DetectorModelConfig(width=8, features_width=16, fused_width=16)
    *_, last = detector_epochs(DetectorConfig(epochs=1, steps_per_epoch=2, batch_size=16, model=model, data=data))
    last.save(tmp_path / "checkpoint")
    found = leave_one_source_out(tmp_path / "checkpoint", tmp_path / "out")
    splits = load_splits(data)
    for source, one in found["left_out"].items():
        humans = of_sources(splits["test"], [source])
        others = load_splits(replace(data, leave_out=(source,)))["validation"]
        runs = {
            "without_it": tmp_path / "out" / source / CHECKPOINTS / "last",
            "trained_on_all": tmp_path / "checkpoint",
        }
        for side, validation in (("without_it", others), ("trained_on_all", splits["validation"])):
            detector = load_trained_detector(runs[side])
            threshold = threshold_at_fpr(detector.logit(validation), 0.01).value
            expected = float((detector.logit(humans) > threshold).double().mean())
            assert one[side]["fpr"]["value"] == pytest.approx(expected)
        families = [m["value"] for name, m in one["without_it"].items() if name.startswith("missed_bots/")]
        assert one["without_it"]["missed_bots"]["value"] == pytest.approx(sum(families) / len(families))


def test_a_configuration_of_one_source_is_refused_in_one_line() -> None:
    splits = load_splits(DataConfig())
    law = r"^expected `laboratories with evaluated users >= 2`, of which one is left out, but got sapimouse; train on"
    with pytest.raises(ConfigError, match=law):
        laboratories_of(splits["validation"])


def test_sources_of_one_laboratory_count_as_one(data: DataConfig) -> None:
    movements = load_splits(data)["validation"]
    both = replace(movements, source=tuple({"first": "flanker_a", "second": "numberline"}[s] for s in movements.source))
    with pytest.raises(ConfigError, match="but got number-choice; train"):
        laboratories_of(both)
    other = torch.tensor([source == "first" for source in movements.source])
    three = replace(both, source=tuple("kh2017" if o else s for o, s in zip(other.tolist(), both.source, strict=True)))
    assert laboratories_of(three) == {"kh2017": ("kh2017",), "number-choice": ("numberline",)}


def test_what_is_left_out_is_counted_and_moves_no_other_user(data: DataConfig) -> None:
    whole, others = load_splits(data), load_splits(replace(data, leave_out=("second",)))
    assert others.dropped[LEFT_OUT] == sum(source == "second" for source in SOURCES) * 360
    for name in ("train", "validation", "test", "holdout"):
        assert torch.equal(others[name].deltas, of_sources(whole[name], ["first"]).deltas)
    with pytest.raises(ConfigError, match=r"^expected `leave_out` in {first, second}, but got third; name a source"):
        load_splits(replace(data, leave_out=("third",)))
    with pytest.raises(ConfigError, match=r"^expected a source that is not left out, but got leave_out=first, second"):
        load_splits(replace(data, leave_out=SOURCES))


@pytest.mark.parametrize("key", ["n=3", "val_split=a.parquet", "metrics=[mmd]", "samples=a.parquet"])
def test_keys_of_another_evaluation_are_refused(gan: Path, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = [key] if key.startswith("samples") else [key, f"ckpt={gan}"]
    assert evaluate.main([*given, "leave_one_source_out=true"]) == 2
    assert "expected `leave_one_source_out` with `ckpt` and without" in capsys.readouterr().err


def test_the_interval_of_the_mean_over_laboratories_adds_their_variances() -> None:
    parts = [JackknifeEstimate(value, tuple(value + 0.01 * (i - 9.5) for i in range(20))) for value in (0.2, 0.6)]
    same = JackknifeEstimate(0.1, (0.1,) * 20)
    found = [
        LeftOut(
            name,
            (name,),
            40,
            tuple(map(str, range(20))),
            20.0,
            {names.VAL_AUC_EXCESS: part},
            {names.VAL_AUC_EXCESS: same},
        )
        for name, part in zip(("first", "second"), parts, strict=True)
    ]
    reach = stdtrit(38, 0.975) * sum(interval(part).se ** 2 for part in parts) ** 0.5 / 2
    *_, unseen, seen, paired = table_of(found, TRAINABLES["gan"]).rows[-1]
    assert unseen == f"0.400 [{0.4 - reach:.3f}, {0.4 + reach:.3f}]"
    assert seen == "0.100 [0.100, 0.100]"
    assert paired == f"0.300 [{0.3 - reach:.3f}, {0.3 + reach:.3f}]"
