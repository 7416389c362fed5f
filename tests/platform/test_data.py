"""The data command: conditions of a split but of the holdout split, inspection, conversion; wrong input is refused."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from platform.data import COMMAND, main
from platform.train import COMMAND as TRAIN
from tests.shared_data import CASES, SHARED
from tests.trainables.data.readers.examples import EXAMPLES, events, write_mousetracker, write_page, write_table
from trainables.core.cli import WRONG_INPUT, parse, run
from trainables.data.config import DataConfig, SourceConfig
from trainables.data.readers.converted import readers_of
from trainables.data.readers.recordings import drop_table, read_recordings
from trainables.data.splits.loading import load_splits


@pytest.mark.parametrize("name", ["made/c.parquet", "made/c.csv"])
def test_the_conditions_of_a_split_are_written_by_suffix(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert run(COMMAND, main, ["conditions", "split=validation", f"out={path}"]) == 0
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    split = load_splits(DataConfig())["validation"]
    assert len(table) == len(split)
    counts = f"{len(split)} conditions of {len(set(split.group))} users"
    assert capsys.readouterr().out.strip() == f"{path}: {counts} of the validation split"
    assert [path.name] == [entry.name for entry in path.parent.iterdir()]


def test_the_conditions_of_a_fold_are_those_of_its_users(tmp_path: Path) -> None:
    assert run(COMMAND, main, ["conditions", "data.fold=1/5", f"out={tmp_path / 'c.csv'}"]) == 0
    written = pd.read_csv(tmp_path / "c.csv")
    assert tuple(written["user"]) == load_splits(DataConfig(fold="1/5"))["validation"].group


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["conditions", "split=holdout"], "the holdout split is reserved for the promotion and never exported"),
        (["conditions", "split=all"], "expected `split` in {test, train, validation}, but got split=all"),
        (["split=test"], "expected a verb, but got none; use python -m platform.data with one of"),
        (
            ["condition"],
            "expected an override key=value or one of inspect, convert, conditions, store, forget, but got",
        ),
        (["conditions", "out=c.txt"], "expected `out` to end in .parquet or .csv, but got out=c.txt"),
        (["conditions", "data.fold=1/5", "split=test"], "expected `split` in {train, validation}, but got split=test"),
        (["conditions", "data.source=table"], "expected a `path` with source=table"),
        (["conditions", "data.source=table", "data.path=nowhere.csv"], "no such file"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(COMMAND, main, arguments) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def inspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.chdir(tmp_path)
    return run(COMMAND, main, ["inspect", *arguments])


def many_users(file: Path, users: int = 70) -> Path:
    """Write a table of events with many users, whose movements differ."""
    frames = [events(user=f"u{number}") for number in range(users)]
    for number, frame in enumerate(frames):
        frame["x"] += number
    pd.concat(frames).to_csv(file, index=False)
    return file


def test_an_inspection_prints_reader_account_figures_and_lines_that_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many_users(tmp_path / "my own.csv")
    assert inspected(tmp_path, monkeypatch, "my own.csv", "json=made/i.json") == 0
    out = capsys.readouterr().out
    for line in (
        "  path    my own.csv",
        "  reader  table (guessed: columns t_ms, x, y)",
        "read          210  100.0 %",
        "kept          210  100.0 %",
        "my own        210     70    210 (100%)     210 (100%)      16.0 ms",
        "  users      70 (70.0 effective)",
        "  per user   3 to 3 movements, median 3; most: u0",
        "  step       16.0 ms, 5 to 95 %: 16.0 to 16.0 ms",
        "  targets    unknown",
        "    path: my own.csv",
        "wrote inspect.png",
        "wrote made/i.json",
    ):
        assert line in out.splitlines()
    assert "Warnings" not in out
    command = next(line for line in out.splitlines() if line.startswith("python -m platform.train"))
    parsed = parse(TRAIN, shlex.split(command)[3:]).config["trainable"]["data"]
    assert (parsed["source"], parsed["path"]) == ("table", "my own.csv")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["inspect.png", "made", "my own.csv"]
    written = json.loads((tmp_path / "made" / "i.json").read_text())
    assert (written["read"], written["kept"], written["reader"], written["warnings"]) == (210, 210, "table", [])
    assert written["figures"]["sources"]["my own"]["usable"]["64"] == {"usable": 210, "read": 210, "too_long": 0}
    assert written["command"] == command
    assert inspected(tmp_path, monkeypatch, "my own.csv", "json=made/i.json") == 0  # what it wrote it replaces


def test_a_named_reader_a_unit_and_a_longer_sequence_are_in_the_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = events(user="ann")
    frame["t_ms"] = 2.5 * frame["t_ms"] / 1000
    frame.to_csv(tmp_path / "a=b.csv", index=False)
    assert inspected(tmp_path, monkeypatch, "a=b.csv", "source=table", "time_unit=s", "out=''") == 0
    out = capsys.readouterr().out
    assert "  reader  table (named by source)" in out
    assert (
        "python -m platform.train name=a-b trainable.data.source=table \"trainable.data.path='a=b.csv'\" "
        "trainable.data.time_unit=s trainable.data.canonical.sequence_length=128"
    ) in out
    assert "T=64 steps keep 0% of a=b; set data.canonical.sequence_length=128" in out
    assert [entry.name for entry in tmp_path.iterdir()] == ["a=b.csv"]


def test_recordings_of_which_none_is_kept_have_an_account_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events().assign(pointer_type="touch").to_csv(tmp_path / "t.csv", index=False)
    assert inspected(tmp_path, monkeypatch, "t.csv") == 0
    out = capsys.readouterr().out
    assert "touch input      3  100.0 %" in out
    assert "no movement of 3 is kept; record a mouse" in out
    assert "platform.train" not in out
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]


def test_the_default_recordings_are_inspected_without_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspected(tmp_path, monkeypatch, "source=cursory") == 0
    out = capsys.readouterr().out
    assert "validation        159     20             15.7" in out
    assert "python -m platform.train name=cursory trainable.data.source=cursory\n" in out


@pytest.mark.parametrize("name", [*EXAMPLES])
def test_the_files_of_every_reader_are_inspected_and_converted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = EXAMPLES[name](tmp_path)
    assert inspected(tmp_path, monkeypatch, str(file), "out=''") == 0
    account = capsys.readouterr().out.split("\n\n")[1]
    assert run(COMMAND, main, ["convert", str(file), "out=made/c.parquet"]) == 0
    out = capsys.readouterr().out
    assert out.split("\n\n")[0] == account
    assert f"{tmp_path / 'made' / 'c.parquet'}: 3 movements of 1 user; read it with source=table" in out
    assert inspected(tmp_path, monkeypatch, "made/c.parquet", "out=''") == 0
    again = capsys.readouterr().out
    assert again.split("\n\n")[1] == account
    assert f"  reader  table (guessed: converted from {name})" in again


def test_the_picture_of_converted_recordings_is_that_of_the_recordings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    write_page(tmp_path / "lab")
    assert inspected(tmp_path, monkeypatch, "lab", "out=a.png") == 0
    assert run(COMMAND, main, ["convert", "lab", "out=c.parquet"]) == 0
    assert inspected(tmp_path, monkeypatch, "c.parquet", "out=b.png") == 0
    with Image.open("a.png") as one, Image.open("b.png") as other:
        assert one.tobytes() == other.tobytes()


def test_several_sources_are_converted_as_they_are_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    many_users(tmp_path / "mine.csv")
    sources = "sources=[{reader:cursory},{reader:table,path:mine.csv,name:mine}]"
    assert run(COMMAND, main, ["convert", sources, "out=both.parquet"]) == 0
    assert "both.parquet: 2,566 movements of 135 users" in capsys.readouterr().out
    assert readers_of(tmp_path / "both.parquet") == ("cursory", "table")
    both = DataConfig(sources=(SourceConfig("cursory"), SourceConfig("table", "mine.csv", "mine")))
    expected, found = load_splits(both), load_splits(DataConfig("table", "both.parquet"))
    assert (found.sha256, found.read, found.dropped) == (expected.sha256, expected.read, expected.dropped)


def test_a_glob_is_converted_twice_into_a_file_that_it_does_not_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path)
    for _ in range(2):
        assert run(COMMAND, main, ["convert", "*.csv", "out=all.parquet"]) == 0
        assert len(pd.read_parquet("all.parquet")) == 3


FOREIGN = "expected `{key}` to be a new file, or one that this command wrote, but got {name}, which is another"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["inspect"],
            "expected a PATH, but got none; use python -m platform.data inspect PATH, or inspect source=cursory",
        ),
        (["inspect", "nowhere.csv"], "nowhere.csv: no such file or folder"),
        (["inspect", "*.csv"], "*.csv: no file matches this glob; correct `path`"),
        (["inspect", "empty.csv"], "empty.csv: the file is empty"),
        (["inspect", "folder"], "folder: expected files that one reader recognises, but got none; set `source`"),
        (["inspect", "mixed"], "expected files that one reader recognises, but got 1 of mousetracker, 1 of table"),
        (
            ["inspect", "mixed", "source=table"],
            "mixed: expected recordings of one suffix in this folder, but got 1 .csv",
        ),
        (["inspect", "mixed", "sorce=table"], "unknown key sorce; did you mean `source`?"),
        (["inspect", "sorce=table"], "unknown key sorce; did you mean `source`?"),
        (["inspect", "a.csv", "b.csv"], "expected one `path`, but got a.csv and b.csv; put quotes around a glob"),
        (["inspect", "mixed/mine.csv", "source=pynput"], "expected `source` in {"),
        (["inspect", "mixed/mine.csv", "time_unit=s"], "expected times in seconds, but got a median step"),
        (["inspect", "mixed/mine.csv", "out=p.pdf"], "expected `out` to end in .png, but got out=p.pdf"),
        (["inspect", "mixed/mine.csv", "json=p.txt"], "expected `json` to end in .json, but got json=p.txt"),
        (["inspect", "mixed/mine.csv", "out=theirs.png"], FOREIGN.format(key="out", name="theirs.png")),
        (["inspect", "mixed/mine.csv", "json=theirs.json"], FOREIGN.format(key="json", name="theirs.json")),
        (["inspect", "mixed/mine.csv", "out=folder.png"], FOREIGN.format(key="out", name="folder.png")),
        (["convert"], "expected a PATH, but got none; use python -m platform.data convert PATH out=FILE.parquet"),
        (["convert", "mixed/mine.csv", "out=c.csv"], "expected `out` to end in .parquet, but got out=c.csv"),
        (["convert", "mixed/mine.csv", "out=theirs.parquet"], FOREIGN.format(key="out", name="theirs.parquet")),
        (["convert", "a.csv", "sources=[{reader:cursory}]"], "expected a PATH, or `sources`, but got both"),
        (["convert", "nowhere.csv"], "nowhere.csv: no such file or folder"),
        (
            ["convert", "table", "out=table/c.parquet"],
            "expected `out` outside of the recordings table, but got table/c.parquet; write it beside them",
        ),
        (
            ["convert", "tab*/*.parquet", "out=table/c.parquet"],
            "expected `out` outside of the recordings tab*/*.parquet, but got table/c.parquet",
        ),
        (["convert", "**/*.parquet", "out=c.parquet"], "expected `out` outside of the recordings **/*.parquet"),
        (
            ["convert", "sources=[{reader:table,path:'t*/?.parquet'}]", "out=table/../table/c.parquet"],
            "expected `out` outside of the recordings t*/?.parquet",
        ),
        (
            ["convert", "sources=[{reader:table,path:table}]", "time_unit=s"],
            "expected the `time_unit` of each of `sources` in it, but got time_unit=s beside them; write {reader:",
        ),
        (
            ["convert", "touch.csv"],
            "expected a movement that is kept, but got none of 3; most are dropped: touch input",
        ),
    ],
)
def test_wrong_input_of_inspect_and_convert_is_one_line_and_writes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("mixed", "folder", "folder.png", "table"):
        (tmp_path / folder).mkdir()
    write_table(tmp_path / "mixed")
    write_table(tmp_path / "table")
    write_mousetracker(tmp_path / "mixed")
    events().assign(pointer_type="touch").to_csv("touch.csv", index=False)
    for name in ("empty.csv", "theirs.png", "theirs.json", "theirs.parquet"):
        (tmp_path / name).write_text("" if name == "empty.csv" else "theirs")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if "*.csv" in arguments:
        monkeypatch.chdir(tmp_path / "folder")
    assert run(COMMAND, main, arguments) == WRONG_INPUT
    out, error = capsys.readouterr()
    assert message in error
    assert error.count("\n") == 1
    assert out == ""
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("verb", "key", "name"),
    [
        ("convert", "out", "/proc/x.parquet"),
        ("convert", "out", "table.csv/x.parquet"),
        ("convert", "out", "full/x.parquet"),
        ("inspect", "out", "/proc/x.png"),
        ("inspect", "out", "table.csv/x.png"),
        ("inspect", "json", "/proc/x.json"),
        ("conditions", "out", "/proc/x.parquet"),
        ("conditions", "out", "full/x.csv"),
        ("store", "json", "table.csv/x.json"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_line(
    verb: str,
    key: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / f".{Path(name).name}").symlink_to("/dev/full")  # a disk without room, where it is prepared
    write_table(tmp_path).rename("table.csv")
    data = [] if verb in ("conditions", "store") else ["table.csv"]
    assert run(COMMAND, main, [verb, *data, f"{key}={name}"]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert f"expected `{key}` to be a file that can be written, but got {key}={name} (" in error
    assert error.count("\n") == 1
    assert not (tmp_path / name).exists()


@pytest.mark.skipif(not CASES.is_dir(), reason="the faulty files in ../shared/cases/data are not here")
@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("*")))
def test_the_shared_faulty_files_give_a_table_or_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = inspected(tmp_path, monkeypatch, str(CASES / name))
    out, error = capsys.readouterr()
    if name in ("seconds.csv", "micro.csv", "decimal_comma.csv"):
        assert (code, out, error.count("\n")) == (WRONG_INPUT, "", 1)
        return
    found = read_recordings("table", CASES / name)
    assert (code, error) == (0, "")
    assert drop_table(found) in out
    assert ("platform.train" in out) == bool(found.recordings)
    assert (tmp_path / "inspect.png").exists() == bool(found.recordings)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings in ../shared/data are not here")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raw/balabit", "72% of the movements are dropped: session sampled too slowly"),
        ("raw/sapimouse", "of the movements are of the user sapimouse/user83"),
    ],
)
def test_real_recordings_are_inspected(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert inspected(tmp_path, monkeypatch, str(SHARED / name)) == 0
    assert message in capsys.readouterr().out
    assert (tmp_path / "inspect.png").exists()
