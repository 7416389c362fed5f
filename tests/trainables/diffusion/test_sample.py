"""The sampling command: what it writes, and that the data reader takes it back."""

import json
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import torch

from trainables.core.cli import WRONG_INPUT, run
from trainables.core.config import ConfigError
from trainables.data.canonical import Movements, usable
from trainables.data.config import CONDITION_NAMES, CanonicalConfig, DataConfig
from trainables.data.evaluation_rows import evaluation_table, write_evaluation_table
from trainables.data.readers.recordings import RecordingError, read_recordings
from trainables.data.samples import PARTS, part_of
from trainables.data.splits.parts import observe_recordings
from trainables.diffusion.api import SamplingConfig, generate_diffusion_samples, load_generator
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sample import COMMAND, main
from trainables.diffusion.sample_files import FORMATS, SampleFiles, Window
from trainables.diffusion.sample_run import read_conditions, sampled
from trainables.diffusion.sampling_config import SampleConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.movement_reader import read_movements
from trainables.generation.blocks import WINDOW
from trainables.generation.conditions import Conditions

SEEDED = SampleConfig(seed=4)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    evaluated = EvaluationConfig(movements=100, probes=("features",))
    model, quick = ModelConfig(base_channels=16), SamplingConfig(steps=1)
    *_, last = epochs(DiffusionConfig(epochs=1, steps_per_epoch=2, model=model, sampling=quick, evaluation=evaluated))
    last.save(folder)
    return folder


def test_the_files_hold_the_samples_of_the_api_and_are_read_back_as_recordings(
    checkpoint: Path, tmp_path: Path
) -> None:
    assert run(COMMAND, main, [f"ckpt={checkpoint}", "n=9", "steps=2", "seed=5", f"out_dir={tmp_path}"]) == 0
    written = np.load(tmp_path / "samples.npy")
    generated = generate_diffusion_samples(9, 64, steps=2, seed=5, checkpoint=checkpoint)
    assert np.array_equal(written, generated.numpy())
    read = read_recordings("table", tmp_path / "samples.parquet")
    assert len(read.recordings) == 9
    movements = observe_recordings(read.recordings)
    assert [int(n) for n in movements.length] == [int(row.any(axis=1).sum()) for row in written]
    assert len(usable(movements, CanonicalConfig())[0]) == 9
    assert json.loads((tmp_path / "samples.json").read_text())["provenance"] == "synthetic"


def run_sampling(checkpoint: Path, folder: Path, *overrides: str) -> int:
    return run(COMMAND, main, [f"ckpt={checkpoint}", "n=9", "steps=1", f"out_dir={folder}", *overrides])


def test_many_windows_hold_what_one_request_gives(checkpoint: Path, tmp_path: Path) -> None:
    """Two full windows and a part; row numbers continue over windows, and a window is a row group."""
    n = 2 * WINDOW + 5
    assert run_sampling(checkpoint, tmp_path, f"n={n}", "seed=3", "sampler=dpmpp_2m", "spacing=log_snr", "steps=2") == 0
    sampling = SamplingConfig("dpmpp_2m", "log_snr")
    expected = generate_diffusion_samples(n, 64, steps=2, seed=3, sampling=sampling, checkpoint=checkpoint)
    assert np.array_equal(np.load(tmp_path / "samples.npy"), expected.numpy())
    table = pq.ParquetFile(tmp_path / "samples.parquet")
    assert table.num_row_groups == 3
    assert table.read(["trajectory_id"])["trajectory_id"].to_pylist() == list(range(n))


def test_one_window_at_a_time_is_computed_and_kept(checkpoint: Path) -> None:
    """Windows are computed lazily and freed once written: memory does not grow with n."""
    source, n, computed = load_generator(checkpoint), 4 * WINDOW, []
    canonical, config = source.canonical, SampleConfig(ckpt=str(checkpoint), n=n, steps=1)
    source.model.register_forward_hook(lambda *_: computed.append(1))
    stream = sampled(source, source.draw_conditions(n, 0, 64), canonical, config)
    assert not computed
    window = next(stream)
    calls = len(computed)
    assert len(window) == WINDOW
    kept = weakref.ref(window.z)
    del window
    next(stream)
    assert len(computed) <= 2 * calls + 2
    assert kept() is None


@pytest.mark.parametrize("chosen", list(FORMATS))
def test_only_the_chosen_formats_are_written(checkpoint: Path, tmp_path: Path, chosen: str) -> None:
    assert run_sampling(checkpoint, tmp_path, f"format=[{chosen}]") == 0
    beside = {part_of(Path("samples.npy"), part).name for part in PARTS} if chosen == "npy" else set()
    assert {path.name for path in tmp_path.iterdir()} == {f"samples.{chosen}", "samples.json", *beside}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_run_leaves_the_previous_files_complete(tmp_path: Path, error: type[BaseException]) -> None:
    movements = Movements(torch.ones(2, 8, 2).double(), torch.tensor([8, 5]), ("a", "b"))
    window = Window(
        torch.ones(2, 8, 2),
        torch.ones(2, 8, dtype=torch.bool),
        Conditions(torch.from_numpy(conditions(2)), torch.zeros(2, dtype=torch.float64)),
        movements,
    )
    with SampleFiles(tmp_path, tuple(FORMATS), (2, 8, 2), {"run": 1}) as files:
        files.write(window)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"samples.npy", "samples.parquet", "samples.json"} < set(before)
    with suppress(error), SampleFiles(tmp_path, tuple(FORMATS), (4, 8, 2), {"run": 2}) as files:
        files.write(replace(window, z=torch.zeros(2, 8, 2)))
        raise error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def conditions(n: int) -> npt.NDArray[np.float64]:
    """Half a second, 100 px, a path of 1.1 distances, 3 rad, no target width."""
    generated: npt.NDArray[np.float64] = np.log(np.tile([0.5, 100.0, 1.1, 4.0, np.nan], (n, 1)))
    return generated


def test_conditions_may_come_from_a_file(checkpoint: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "conditions.npy", conditions(9).astype(np.float32))
    assert run_sampling(checkpoint, tmp_path / "out", f"cond={tmp_path / 'conditions.npy'}") == 0
    written = np.load(tmp_path / "out" / "samples.npy")
    assert {int(row.any(axis=1).sum()) for row in written} == {30}


@pytest.mark.parametrize("name", ["samples.npy", "samples.parquet"])
def test_each_file_goes_back_to_the_same_pixels_and_conditions(checkpoint: Path, tmp_path: Path, name: str) -> None:
    """Without the checkpoint, at a length of one's own; no two formats differ."""
    assert run_sampling(checkpoint, tmp_path, "seq_len=50", "seed=4") == 0
    source = load_generator(checkpoint)
    conditions = source.draw_conditions(9, 4, 50)
    canonical = source.canonical_at(50)
    (window,) = sampled(replace(source, sampling=replace(source.sampling, steps=1)), conditions, canonical, SEEDED)
    found = read_movements(tmp_path / name)
    assert torch.equal(found.movements.length, window.movements.length)
    steps = int(window.movements.length.max())
    assert torch.equal(found.movements.steps_px[:, :steps], window.movements.steps_px[:, :steps])
    assert found.requested is not None
    assert torch.equal(found.requested.nan_to_num(-9.0), conditions.raw.double().nan_to_num(-9.0))
    record = json.loads((checkpoint / "record.json").read_text())
    made = {key: found.record[key] for key in ("weights_sha256", "data_sha256", "kind", "version")}
    assert made == {key: record[key] for key in made}
    assert (found.record["seed"], found.record["sampling"]["sampler"]) == (4, "dpmpp_2m")
    assert found.record["canonical"]["sequence_length"] == 50


def test_conditions_of_a_split_bring_their_number_directions_and_row_ids(checkpoint: Path, tmp_path: Path) -> None:
    table = evaluation_table(DataConfig(), "test").head(11)
    write_evaluation_table(table, tmp_path / "c.csv")
    arguments = [f"ckpt={checkpoint}", f"cond={tmp_path / 'c.csv'}", "steps=1", f"out_dir={tmp_path / 'out'}"]
    assert run(COMMAND, main, arguments) == 0
    found = read_movements(tmp_path / "out" / "samples.parquet")
    assert found.row_ids == tuple(table["row_id"])
    assert found.requested is not None
    torch.testing.assert_close(found.requested[:, 1].exp(), torch.tensor(table["distance_px"].to_numpy()))
    assert np.allclose(np.load(tmp_path / "out" / "samples.angle.npy"), table["angle"])


def lost(folder: Path, part: str) -> None:
    (folder / f"samples.{part}.npy").unlink()


def shorter(folder: Path, part: str) -> None:
    np.save(folder / f"samples.{part}.npy", np.load(folder / f"samples.{part}.npy")[:-1])


def not_finite(folder: Path, part: str) -> None:
    values = np.load(folder / f"samples.{part}.npy")
    values.flat[0] = np.nan
    np.save(folder / f"samples.{part}.npy", values)


def without_statistics(folder: Path, part: str) -> None:
    record = json.loads((folder / "samples.json").read_text())
    (folder / "samples.json").write_text(json.dumps(record | {"statistics": {"mean": [0.0]}}))


@pytest.mark.parametrize(
    ("damage", "part", "message"),
    [
        (lost, "angle", "samples.angle.npy: no such file"),
        (shorter, "condition", r"samples.condition.npy: expected an array \[9, 5\], but got \[8, 5\]"),
        (shorter, "mask", r"samples.mask.npy: expected an array \[9, 64\], but got \[8, 64\]"),
        (not_finite, "angle", "expected finite deltas, conditions and directions, but got NaN or infinity"),
        (without_statistics, "mask", "samples.json: not the record of samples.npy"),
    ],
)
def test_damage_beside_the_deltas_is_one_line(
    checkpoint: Path, tmp_path: Path, damage: Callable[[Path, str], None], part: str, message: str
) -> None:
    assert run_sampling(checkpoint, tmp_path) == 0
    damage(tmp_path, part)
    with pytest.raises(RecordingError, match=message) as exc_info:
        read_movements(tmp_path / "samples.npy")
    assert "\n" not in str(exc_info.value)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            conditions(9)[:, :3],
            f"expected `cond.shape == (9, 5)` ({', '.join(CONDITION_NAMES)}), but got (9, 3)",
        ),
        (
            conditions(8),
            f"expected `cond.shape == (9, 5)` ({', '.join(CONDITION_NAMES)}), but got (8, 5)",
        ),
        (np.ones((9, 5), np.int64), "expected a table [n, D] of floating-point numbers, but got int64 [9, 5]"),
        (conditions(9)[0], "expected a table [n, D] of floating-point numbers, but got float64 [5]"),
        (conditions(9) * np.nan, "expected `conditions` to be finite"),
        (conditions(9) + 5.0, "`duration <= 1.067 s`"),
        (np.nan_to_num(conditions(9), nan=3.0), "unknown target widths for a model whose training split has none"),
        (np.array([["a", "b"]]), "expected a table [n, D] of floating-point numbers, but got <U1 [1, 2]"),
        (np.array([[None]], dtype=object), "not a readable .npy file"),
        (b"not an array", "not a readable .npy file"),
        (b"", "not a readable .npy file"),
        (None, "not a readable .npy file"),
    ],
    ids=[
        "width",
        "rows",
        "integers",
        "vector",
        "nan",
        "long",
        "target",
        "text",
        "objects",
        "garbage",
        "empty",
        "absent",
    ],
)
def test_a_wrong_file_of_conditions_is_one_line_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], values: object, reason: str
) -> None:
    path = tmp_path / "conditions.npy"
    if isinstance(values, bytes):
        path.write_bytes(values)
    elif isinstance(values, np.ndarray):
        np.save(path, values, allow_pickle=True)
    assert run_sampling(checkpoint, tmp_path / "out", f"cond={path}") == WRONG_INPUT
    printed = capsys.readouterr().err
    assert reason in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_truncated_file_of_conditions_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "conditions.npy", conditions(9))
    whole = (tmp_path / "conditions.npy").read_bytes()
    (tmp_path / "conditions.npy").write_bytes(whole[:-8])
    with pytest.raises(ConfigError, match=r"^cond=.*conditions.npy: not a readable .npy file"):
        read_conditions(tmp_path / "conditions.npy")


@pytest.mark.parametrize(
    "override",
    [
        "n=0",
        "steps=-1",
        "steps=1001",
        "seq_len=4",
        "seq_len=65",
        "ckpt=",
        "ckpt=nowhere",
        "number=3",
        "format=[csv]",
        "format=[]",
        "sampler=euler",
        "eta=2",
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    override: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, [f"ckpt={checkpoint}", f"out_dir={tmp_path / 'out'}", override]) == WRONG_INPUT
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()
