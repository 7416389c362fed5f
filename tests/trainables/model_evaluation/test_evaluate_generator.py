"""The evaluation command: the metrics of the training, equal for a file, all outputs, and one-line errors."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from platform import data
from tests.serve import published
from trainables.core.cli import WRONG_INPUT, run
from trainables.data.canonical import decode, reobserve
from trainables.data.config import RATE_HZ, CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.dataset.served_negatives import ServedMovements, write_served
from trainables.diffusion import sample
from trainables.diffusion.api import load_generator
from trainables.diffusion.config import DiffusionConfig, ModelConfig, MotionConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.diffusion_eval import COMMAND, main
from trainables.eval.generation import plots
from trainables.eval.generation.config import EvaluationConfig
from trainables.gan import config as gan
from trainables.gan.train import epochs as gan_epochs
from trainables.generation.conditions import Conditions
from trainables.generation.limits_of_use import LIMITS_OF_USE
from trainables.models import load_detector
from trainables.training import metric_names as names
from trainables.training.checkpoint_record import SELECTOR, load_record

FOLDS = 2
FEW_FOLDS = [f"comparison.folds={FOLDS}"]
QUICK = [
    *(*FEW_FOLDS, "steps=1", "comparison.probes=[quadratic]"),
    *("comparison.null_repeats=2", "comparison.permutations=19"),
]
evaluate = partial(run, COMMAND, main)
PLOTS = ("plot_gallery", "plot_overlays", "plot_spectra", "plot_probe_accuracy")


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plots, which take long; those of `report` are checked."""
    for name in PLOTS:
        monkeypatch.setattr(plots, name, lambda *_, **__: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint of a briefly trained model, and the metrics of its training."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    config = DiffusionConfig(
        epochs=1,
        steps_per_epoch=12,
        model=ModelConfig(base_channels=16),
        motion=MotionConfig(ends=False),  # a table of conditions does not name them, so that its samples had others
        sampling=SamplingConfig(steps=1),
        evaluation=EvaluationConfig(folds=FOLDS, probes=("features",)),
    )
    *_, last = epochs(config)
    last.save(folder)
    return folder, dict(last.metrics)


@pytest.fixture(scope="module")
def report(trained: tuple[Path, dict[str, float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert evaluate([f"ckpt={trained[0]}", f"out_dir={folder}", *QUICK]) == 0
    return folder


@pytest.fixture(scope="module")
def samples(trained: tuple[Path, dict[str, float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the samples of the checkpoint's evaluation as a table."""
    source, real = load_generator(trained[0]), load_splits(DataConfig())["validation"]
    movements = decode(source.sample_matching(real, seed=20240, steps=1), source.canonical)
    paths = [torch.cat([torch.zeros(1, 2), s[:n].cumsum(0)]) for s, n in zip(*movement_parts(movements), strict=True)]
    table = {"t_ms": [[i * 1000 / RATE_HZ for i in range(len(p))] for p in paths]}
    table |= {"x": [p[:, 0].tolist() for p in paths], "y": [p[:, 1].tolist() for p in paths]}
    file = tmp_path_factory.mktemp("file") / "samples.parquet"
    pd.DataFrame({**table, "user": movements.group, "session": "s"}).to_parquet(file)
    return file


def movement_parts(movements: Any) -> tuple[Any, list[int]]:
    return movements.steps_px, movements.length.tolist()


def read(folder: Path) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)
    return numbers


def test_a_checkpoint_has_the_metrics_of_its_training(report: Path, trained: tuple[Path, dict[str, float]]) -> None:
    found, metrics = read(report), trained[1]
    features = found["metrics"]["probes"]["features"]
    assert features["auc"]["value"] == pytest.approx(metrics[names.probe_auc("features")])
    assert features["floor"] == pytest.approx(metrics[names.probe_floor("features")])
    assert found["metrics"]["mmd"]["mmd"] == pytest.approx(metrics[names.VAL_MMD], rel=1e-9)
    assert found["metrics"]["prd"]["recall"] == metrics[names.VAL_RECALL]
    assert found["metrics"]["prd"]["prd_precision"] == pytest.approx(metrics[names.VAL_PRD_PRECISION])
    assert found["checks"]["memorisation"]["ratio"] == pytest.approx(metrics[names.VAL_MEMORISATION])
    error = found["checks"]["conditions"]["mean_median_absolute_sd"]
    assert error == pytest.approx(metrics[names.VAL_CONDITION_ERROR])


def test_the_report_records_the_checkpoint_and_the_data(report: Path, trained: tuple[Path, dict[str, float]]) -> None:
    found, record = read(report), json.loads((trained[0] / "record.json").read_text())
    assert found["evaluated"]["weights_sha256"] == record["weights_sha256"]
    assert found["data"]["sha256"] == record["data_sha256"]
    assert found["real"]["source"] == "validation"
    for side in ("real", "fake"):
        account = found[side]
        assert account["evaluated"] + sum(account["dropped"].values()) == account["read"]
    assert set(found["metrics"]) == {"probes", "c2st", "mmd", "prd", "kinematics", "spectra"}
    assert {"python", "torch", "numpy", "scipy", "scikit-learn", "cursory"} == set(found["versions"])


def test_every_plot_is_written_and_not_blank(report: Path) -> None:
    assert read(report)["plots"] == ["gallery.png", "overlays.png", "spectra.png", "c2st.png"]
    for name in read(report)["plots"]:
        with Image.open(report / name) as image:
            shades = image.convert("L").histogram()
        assert max(shades) < 0.99 * sum(shades)


@pytest.mark.usefixtures("unplotted")
def test_a_file_of_the_same_samples_has_the_metrics_of_the_checkpoint(
    samples: Path, report: Path, tmp_path: Path
) -> None:
    assert evaluate([f"samples={samples}", f"out_dir={tmp_path}", *QUICK]) == 0
    by_file, by_checkpoint = read(tmp_path), read(report)
    assert by_checkpoint["fake"]["dropped"] == {}  # else a file, which has no partners, keeps more of the real ones
    assert by_file["metrics"]["probes"].pop("by") == "nearest condition"
    assert by_checkpoint["metrics"].pop("probes")["by"] == "conditions"
    assert by_file["metrics"].pop("probes")["pairs"] == len(load_splits(DataConfig())["validation"])
    assert by_file["metrics"] == by_checkpoint["metrics"]
    assert "not_measured" in by_file["checks"]["conditions"]


@pytest.mark.usefixtures("unplotted")
def test_the_same_command_writes_the_same_bytes_and_n_chooses(samples: Path, tmp_path: Path) -> None:
    command = [f"samples={samples}", f"out_dir={tmp_path}", "n=60", "split=test", "metrics=[mmd]", *QUICK]
    written = []
    for _ in range(2):
        assert evaluate(command) == 0
        written.append((tmp_path / "report.json").read_bytes())
    assert written[0] == written[1]
    assert (read(tmp_path)["fake"]["evaluated"], read(tmp_path)["real"]["evaluated"]) == (60, 68)
    assert set(read(tmp_path)["metrics"]) == {"mmd"}
    assert read(tmp_path)["plots"] == ["gallery.png"]


@pytest.mark.usefixtures("unplotted")
def test_other_users_can_take_the_place_of_the_split(samples: Path, tmp_path: Path) -> None:
    """The samples themselves as the real movements: they are indistinguishable."""
    command = [f"samples={samples}", f"val_split={samples}", f"out_dir={tmp_path}", "metrics=[kinematics]", *QUICK]
    assert evaluate(command) == 0
    features = read(tmp_path)["metrics"]["kinematics"]
    assert {found["ks"] for name, found in features.items() if name != "ks_5_percent"} == {0.0}
    assert read(tmp_path)["real"]["source"] == str(samples)


@pytest.fixture(scope="module")
def paired(trained: tuple[Path, dict[str, float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample the checkpoint under the conditions of the validation split, by the two commands, with the rows named."""
    folder = tmp_path_factory.mktemp("paired")
    conditions = folder / "conditions.parquet"
    assert run(data.COMMAND, data.main, ["conditions", f"out={conditions}"]) == 0
    command = [f"ckpt={trained[0]}", f"cond={conditions}", "steps=1", "seed=20240", f"out_dir={folder}"]
    assert run(sample.COMMAND, sample.main, command) == 0
    return folder / "samples.parquet"


def changed(file: Path, path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    change(pd.read_parquet(file)).to_parquet(path)
    return path


@pytest.mark.heavy
@pytest.mark.usefixtures("unplotted")
def test_a_file_that_names_its_rows_is_evaluated_as_the_checkpoint_is(
    paired: Path, report: Path, tmp_path: Path
) -> None:
    """In any order of its rows: folds and permutations are by user, and the condition error is measured."""
    shuffled = changed(paired, tmp_path / "shuffled.parquet", lambda frame: frame.sample(frac=1, random_state=1))
    for file in (paired, shuffled):
        assert evaluate([f"samples={file}", f"out_dir={tmp_path}", *QUICK]) == 0
        by_rows, by_checkpoint = read(tmp_path), read(report)
        assert by_rows["metrics"] == by_checkpoint["metrics"]
        assert by_rows["checks"] == by_checkpoint["checks"]
        assert by_rows["metrics"]["c2st"]["folds"] == "by user"
        assert by_rows["evaluated"]["paired"]


@pytest.mark.usefixtures("unplotted")
def test_the_report_of_a_file_of_ours_says_what_made_it(
    paired: Path, trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    assert evaluate([f"samples={paired}", f"out_dir={tmp_path}", "metrics=[mmd]", *QUICK]) == 0
    found, record = read(tmp_path)["evaluated"], json.loads((trained[0] / "record.json").read_text())
    made = found["made"]
    assert (made["weights_sha256"], made["data_sha256"]) == (record["weights_sha256"], record["data_sha256"])
    assert (made["seed"], made["sampling"]["steps"], made["version"]) == (20240, 1, record["version"])


@pytest.mark.usefixtures("unplotted")
def test_the_array_of_deltas_measures_the_condition_error_too(paired: Path, report: Path, tmp_path: Path) -> None:
    array = paired.with_suffix(".npy")
    assert evaluate([f"samples={array}", f"out_dir={tmp_path}", "metrics=[mmd]", *QUICK]) == 0
    found, expected = (read(folder)["checks"]["conditions"] for folder in (tmp_path, report))
    assert found["mean_median_absolute_sd"] == pytest.approx(expected["mean_median_absolute_sd"])


@pytest.mark.usefixtures("unplotted")
def test_real_movements_without_a_sample_are_left_out_and_counted(paired: Path, tmp_path: Path) -> None:
    """A sample that is no movement leaves with its partner, as one that is missing does."""
    file = changed(paired, tmp_path / "part.parquet", lambda frame: frame.iloc[35:])
    flat = changed(file, tmp_path / "flat.parquet", lambda frame: still(frame, [0, 7]))
    for path, without in ((file, 35), (flat, 37)):
        assert evaluate([f"samples={path}", f"out_dir={tmp_path}", "metrics=[kinematics]", *QUICK]) == 0
        real = read(tmp_path)["real"]
        assert real["dropped"] == {"without a usable sample": without}
        assert real["evaluated"] == read(tmp_path)["fake"]["evaluated"] == real["read"] - without


def still(frame: pd.DataFrame, rows: list[int]) -> pd.DataFrame:
    """Let the samples of some rows stay where they are."""
    frame = frame.reset_index(drop=True)
    for column in ("x", "y"):
        frame[column] = [[0.0] * len(path) if row in rows else path for row, path in enumerate(frame[column])]
    return frame


@pytest.mark.heavy
def test_files_side_by_side_differ_by_their_samples_alone(
    paired: Path, report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy differs by 0, with an interval of no width; the first reads what the checkpoint reads."""
    copy, straight = tmp_path / "copy.parquet", tmp_path / "straight.parquet"
    copy.write_bytes(paired.read_bytes())
    changed(paired, straight, straightened)
    assert evaluate([f"samples=[{paired},{copy},{straight}]", f"out_dir={tmp_path}", *FEW_FOLDS]) == 0
    found, by_checkpoint = read(tmp_path), read(report)
    first, same, other = found["files"]
    assert first["metrics"] == same["metrics"]
    assert {(d["value"], d["low"], d["high"]) for d in same["difference_to_first"].values()} == {(0.0, 0.0, 0.0)}
    expected = {
        names.VAL_MMD: by_checkpoint["metrics"]["mmd"]["mmd"],
        names.VAL_AUC_EXCESS: by_checkpoint["metrics"]["probes"]["excess"]["value"],
        names.VAL_CONDITION_ERROR: by_checkpoint["checks"]["conditions"]["mean_median_absolute_sd"],
    }
    for name, value in expected.items():
        assert first["metrics"][name]["value"] == pytest.approx(value)
    difference = other["difference_to_first"][names.VAL_MMD]
    value = other["metrics"][names.VAL_MMD]["value"] - first["metrics"][names.VAL_MMD]["value"]
    assert difference["value"] == pytest.approx(value)
    assert difference["df"] == len(found["users"]) - 1
    printed = capsys.readouterr().out
    assert f"Difference to {paired}" in printed
    assert "95 % intervals over users" in printed


def straightened(frame: pd.DataFrame) -> pd.DataFrame:
    """Return movements of constant speed from start to end."""
    frame = frame.copy()
    for column in ("x", "y"):
        frame[column] = [[path[-1] * i / (len(path) - 1) for i in range(len(path))] for path in frame[column]]
    return frame


def test_rows_that_one_of_the_files_lacks_are_compared_in_none(paired: Path, tmp_path: Path) -> None:
    part = changed(paired, tmp_path / "part.parquet", lambda frame: still(frame.iloc[30:], [1, 2, 3]))
    assert evaluate([f"samples=[{paired},{part}]", f"out_dir={tmp_path}", *FEW_FOLDS]) == 0
    found = read(tmp_path)
    count = found["real"]["read"] - 30
    assert [file["left_out"] for file in found["files"]] == [30, 0]
    assert found["real"]["evaluated"] == count
    assert found["files"][0]["metrics"][names.VAL_REJECTED]["value"] == 0.0
    assert found["files"][1]["metrics"][names.VAL_REJECTED]["value"] == pytest.approx(3 / count)


def of_four_users(frame: pd.DataFrame) -> pd.DataFrame:
    users = load_splits(DataConfig())["validation"].group
    most = sorted(set(users), key=users.count)[-4:]
    return frame[[user in most for user in users]]


def nan_in_a_list(frame: pd.DataFrame) -> pd.DataFrame:
    frame["x"] = [[float("nan")] * len(path) if row == 2 else path for row, path in enumerate(frame["x"])]
    return frame


def other_row(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(row_id=frame["row_id"].str.replace("-4$", "-99999", regex=True))


FAULTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "a row twice": (lambda frame: frame.iloc[[*range(100), 5]], "expected each `row_id` once, but got validation-"),
    "not of the split": (other_row, "-99999; name the split and the data keys"),
    "nan": (nan_in_a_list, "row 3: expected `x` to hold finite numbers, but got nan"),
    "few rows": (lambda frame: frame.head(30), ">= 40`, but got 30"),
    "few users": (of_four_users, "folds`, but got 4 "),
    "no times": (lambda frame: frame.drop(columns="t_ms"), "missing column t_ms"),
    "a condition alone": (lambda frame: frame.drop(columns="log_duration_s"), "all of log_duration_s, log_distance_px"),
}


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_file_that_names_rows_is_one_line(
    fault: str, several: bool, paired: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = FAULTS[fault]
    path = changed(paired, tmp_path / "a.parquet", change)
    samples = f"samples=[{paired},{path}]" if several else f"samples={path}"
    assert evaluate([samples, f"out_dir={tmp_path / 'out'}"]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["split=test"], "expected every `row_id` to be one of test-"),
        (["data.canonical.sequence_length=48"], "name the split and the data keys"),
        (["val_split=other.parquet"], "no `val_split` with"),
    ],
)
def test_rows_are_of_the_split_and_the_data_that_are_evaluated(
    overrides: list[str], message: str, paired: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.parquet").write_bytes(paired.read_bytes())
    here = [override.replace("=other", f"={tmp_path}/other") for override in overrides]
    for samples in (f"samples={paired}", f"samples=[{paired},{tmp_path / 'other.parquet'}]"):
        assert evaluate([samples, f"out_dir={tmp_path / 'out'}", *here]) == WRONG_INPUT
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_files_of_unlike_columns_are_refused(
    paired: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([f"samples=[{paired},{samples}]", f"out_dir={tmp_path / 'out'}"]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert f"expected `row_id` in each of several files, but got none in {samples}; sample under" in error
    assert error.count("\n") == 1


def test_the_card_of_a_checkpoint_has_its_data_form_sampling_and_metrics(
    report: Path, trained: tuple[Path, dict[str, float]]
) -> None:
    text, card, found = (report / "card.md").read_text(), json.loads((report / "card.json").read_text()), read(report)
    record = json.loads((trained[0] / "record.json").read_text())
    for heading in ("Limits of use", "Summary", "Training data", "Form", "Sampling", "Metrics", "Excluded"):
        assert f"\n## {heading}\n" in text
    for part in (record["weights_sha256"][:16], record["data_sha256"][:16], *LIMITS_OF_USE):
        assert part in text
    splits = load_splits(DataConfig())
    for name, split in splits.splits.items():
        assert f"Split {name}: {len(split)} movements of {len(set(split.group))} users." in text
    assert card["metrics"][names.VAL_AUC_EXCESS]["value"] == found["metrics"]["probes"]["excess"]["value"]
    for value in card["metrics"].values():
        assert value.get("low", value["value"]) <= value["value"] <= value.get("high", value["value"])
    assert card["evaluated"]["users"] == len(set(splits["validation"].group))
    assert f"of {card['evaluated']['users']} users (validation)" in text
    trained_on = card["data"]["users"]["train"]
    assert (trained_on["users"], trained_on["movements"]) == (len(set(splits["train"].group)), len(splits["train"]))
    assert f"Users trained on: {trained_on['users']} (6.5 effective)" in text
    assert "Names of these users: `users` in record.json of the checkpoint." in text
    assert not any(user in text for user in record["users"]["train"])
    assert "Chord alignment is on" in text
    assert "Frame: chord: movements are seen turned, with their net displacement along +x." in text
    assert "Still steps: decided by a channel beside the steps" in text
    optim, training = record["config"]["optim"], card["form"]["training"]
    assert f"Averaged weights: decay {optim['ema_decay']:g} per step" in text
    assert training["averaging"] == {"ema_decay": optim["ema_decay"]}
    assert (training["frame"], training["motion"]) == ("chord", {"channel": True, "ends": False})
    assert (training["init_from"], training["reweight"]) == (None, None)
    assert names.VAL_REJECTED not in card["metrics"]


@pytest.mark.usefixtures("unplotted")
def test_the_card_says_when_samples_are_not_aligned(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    command = [
        f"ckpt={trained[0]}",
        f"out_dir={tmp_path}",
        "metrics=[spectra]",
        "sampling.align=false",
        "n=100",
        *FEW_FOLDS,
    ]
    assert evaluate([*command, "steps=1"]) == 0
    assert "Chord alignment is off" in (tmp_path / "card.md").read_text()
    assert "samples against as many movements" in (tmp_path / "card.md").read_text()


@pytest.mark.usefixtures("unplotted")
def test_a_selection_is_on_the_report_and_the_card_with_the_probes_that_it_has_not_seen(
    trained: tuple[Path, dict[str, float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = published.with_selector(Path(shutil.copytree(trained[0], tmp_path / "checkpoint")))
    detector = published.network(tmp_path / "detector")
    command = [f"ckpt={folder}", f"out_dir={tmp_path}", "metrics=[probes]", *FEW_FOLDS, "comparison.null_repeats=2"]
    assert evaluate([*command, "sampling.candidates=4", f"detector_checkpoint={detector}"]) == 0
    selection, printed = read(tmp_path)["evaluated"]["selection"], capsys.readouterr().out
    assert (selection["candidates"], selection["calls_per_movement"]) == (4, 4)  # of one step each
    assert 1.0 <= selection["effective_candidates"] <= 4.0
    seen = {"features": "seen", "pixels": "seen", "convolutions": "not seen", "detector": "not seen"}
    assert selection["probes"] == seen
    assert selection["selector_sha256"] == load_record(folder / SELECTOR)["weights_sha256"]
    assert "effective of 4" in printed
    card = (tmp_path / "card.md").read_text()
    assert "Selection: one of 4 candidates per movement is drawn" in card
    assert "fitted to: features, pixels; to the same kind with other kernels: none; not seen" in card
    assert "the ones that count: convolutions, detector." in card
    assert json.loads((tmp_path / "card.json").read_text())["selection"] == selection
    by_detector = read(tmp_path)["metrics"]["detector"]
    assert by_detector["users"] == len(set(load_splits(DataConfig())["validation"].group))
    assert by_detector["auc"]["low"] <= by_detector["auc"]["value"] <= by_detector["auc"]["high"]
    assert "AUC, detector" in printed
    single = [*command, f"out_dir={tmp_path / 'single'}"]
    assert evaluate(single) == 0
    assert "selection" not in read(tmp_path / "single")["evaluated"]
    assert "Selection" not in (tmp_path / "single" / "card.md").read_text()


@pytest.mark.usefixtures("unplotted")
def test_the_detector_probe_is_the_share_of_pairs_that_a_score_orders(
    trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    """Against the definition: the weighted share of (real, sample) with the larger score at the sample, ties half."""
    detector = published.network(tmp_path / "detector")
    command = [f"ckpt={trained[0]}", f"out_dir={tmp_path}", "metrics=[spectra]", *FEW_FOLDS, "steps=1"]
    assert evaluate([*command, f"detector_checkpoint={detector}"]) == 0
    found = read(tmp_path)["metrics"]["detector"]["auc"]["value"]
    model, source = load_detector(detector), load_generator(trained[0])
    real = load_splits(DataConfig())["validation"]
    samples, kept = reobserve(source.sample_matching(real, seed=20240, steps=1), source.canonical)
    sides = [model.score(side).tolist() for side in (real.take(kept), samples)]
    owners = real.take(kept).group
    weight = [1 / owners.count(owner) for owner in owners]
    right = total = 0.0
    for one, w in zip(sides[0], weight, strict=True):
        for other, v in zip(sides[1], weight, strict=True):
            total += w * v
            right += w * v * ((other > one) + 0.5 * (other == one))
    assert found == pytest.approx(right / total, abs=1e-9)


@pytest.mark.usefixtures("unplotted")
def test_a_folder_of_the_service_measures_the_condition_error(tmp_path: Path) -> None:
    """Movements that follow their requests exactly read 0; those of an older folder do not tell."""
    real = load_splits(DataConfig())["validation"]
    requested = Conditions(real.condition(), real.angle)
    made = ServedMovements(real, CanonicalConfig(), "0001-aaaaaaaaaaaa", "a" * 64, {"seed": 1}, 0, requested, "d" * 64)
    for name, movements in (("new", made), ("old", replace(made, requested=None, data_sha256=""))):
        write_served(movements, tmp_path / name)
        assert evaluate([f"samples={tmp_path / name}", f"out_dir={tmp_path}", "metrics=[kinematics]"]) == 0
        found = read(tmp_path)
        assert found["evaluated"]["made"]["model_sha256"] == "a" * 64
        conditions = found["checks"]["conditions"]
        if name == "new":
            assert conditions["mean_median_absolute_sd"] == pytest.approx(0.0, abs=1e-5)
        else:
            assert "not_measured" in conditions


@pytest.mark.usefixtures("unplotted")
def test_a_gan_is_evaluated_by_the_same_command_but_has_no_sampler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = EvaluationConfig(movements=60, folds=2, probes=("features",))
    config = gan.GanConfig(epochs=1, steps_per_epoch=1, optim=gan.GanOptimConfig(critic_steps=1), evaluation=evaluation)
    *_, last = gan_epochs(config)
    last.save(tmp_path / "checkpoint")
    command = [f"ckpt={tmp_path / 'checkpoint'}", f"out_dir={tmp_path}", "metrics=[spectra]", *FEW_FOLDS]
    assert evaluate([*command, "sampling.steps=4"]) == WRONG_INPUT
    assert "a generator without a sampler" in capsys.readouterr().err
    assert evaluate(command) == 0
    assert read(tmp_path)["evaluated"]["kind"] == "gan"
    assert "no chord alignment" in (tmp_path / "card.md").read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "exactly one of `ckpt` and `samples`"),
        (["ckpt=a", "samples=b.npy"], "exactly one of `ckpt` and `samples`"),
        (["ckpt=nowhere"], "no such file"),
        (["samples=nowhere.parquet"], "no such file"),
        (["samples=nowhere.npy", "split=holdout"], "the holdout split is reserved for the promotion"),
        (["samples=a.npy", "split=train"], "`split` in {test, validation}"),
        (["samples=a.npy", "metrics=[c2st,fid]"], "metrics=fid"),
        (["samples=a.npy", "metrics=[]"], "`metrics` to have 1 or more entries"),
        (["samples=[a.npy,a.npy]"], "`samples` to name each entry once"),
        (["samples=[a.npy,b.npy]", "n=5"], "expected n=0 with several files"),
        (["samples=[a.npy,b.npy]", "metrics=[mmd]"], "expected no `metrics` with several files"),
        (["samples=[a.npy,b.npy]"], "no such file"),
        (["samples=."], "expected `samples` to be a file, or a folder of platform.negatives, but got the folder ."),
        (["samples=a.npy", "n=-1"], "`n >= 0`"),
        (["samples=a.npy", "steps=-1"], "`steps >= 0`"),
        (["ckpt=a", "sampling.sampler=euler"], "sampler=euler"),
        (["ckpt=a", "sampling.candidates=0"], "expected `1 <= candidates <= 64`, but got candidates=0"),
        (
            ["ckpt=a", "leave_one_source_out=true", "sampling.candidates=4"],
            "with leave_one_source_out, whose models have no selector, but got sampling.candidates=4",
        ),
        (["samples=[a.npy,b.npy]", "detector_checkpoint=d"], "expected no `detector_checkpoint`"),
        (["samples=a.npy", "comparison.folds=1"], "folds >= 2"),
        (
            ["samples=a.npy", "val_split=."],
            "`val_split` to be a file (.parquet, .csv, .npy), but got the folder .",
        ),
        (["ckpt=checkpoints/diff_mouse_v1.pt"], "expected a checkpoint folder, but got a file"),
        (["ckpt=a", "data.source=table"], "expected no data keys with `ckpt`, but got data.source"),
    ],
)
def test_wrong_input_is_one_line(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([f"out_dir={tmp_path / 'out'}", *overrides]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_more_samples_than_there_are_or_of_other_data_are_refused(
    trained: tuple[Path, dict[str, float]], samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((trained[0] / "record.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.safetensors").write_bytes((trained[0] / "weights.safetensors").read_bytes())
    (other / "record.json").write_text(json.dumps(record | {"data_sha256": "0"}))
    for command, message in (
        ([f"ckpt={trained[0]}", "n=160"], "n=160 and 159 movements"),
        ([f"samples={samples}", "n=9999"], "n=9999"),
        ([f"samples={samples}", "n=30"], "usable fake movements >= 40"),
        ([f"ckpt={other}"], "trained on other data"),
    ):
        assert evaluate([*command, f"out_dir={tmp_path / 'out'}", *QUICK]) == WRONG_INPUT
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
