"""The check of labels: it passes the data as they are, and each fault that labels can have is found by its check."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from platform.core.provenance import ROOT
from platform.labels import COMMAND, main
from platform.preflight import label_command
from platform.preflight.config import LabelsConfig
from platform.preflight.context import FAIL
from platform.preflight.label_checks import CHECKS, Rows, Subject, difference, numbered, read, run_check
from trainables.core.cli import FAILED, WRONG_INPUT, run
from trainables.core.config import ConfigError, build
from trainables.data.canonical import Canonical, Movements, encode
from trainables.data.config import CanonicalConfig
from trainables.data.labels import HUMAN, KINDS, DatasetLabels, LabelMap, LabelMaps, task_names
from trainables.detector.bots import BOTS
from trainables.detector.config import DetectorConfig

SMALL = LabelsConfig(batch_sizes=(3, 16), num_workers=(0, 1), shuffles=2)
STYLES = ("human", "pid", "human", "windmouse", "straight")


def movements(rows: int = 40) -> Canonical:
    """Straight movements of many directions and distances."""
    turn, length = torch.arange(rows, dtype=torch.float64), 20.0 + 30.0 * torch.arange(rows)
    ends = torch.stack([length * turn.cos(), length * turn.sin()], dim=1)
    steps = ends[:, None].expand(-1, 10, 2) / 10
    return encode(Movements(steps, torch.full((rows,), 10), ("someone",) * rows), CanonicalConfig())


def subject(maps: Any = None, rows: int = 40) -> Subject:
    """Labels that are right; `maps` stands in for theirs wherever rows are labelled again."""
    real, styles = movements(rows), tuple(STYLES[k % len(STYLES)] for k in range(rows))
    sound = Rows(LabelMaps.of(task_names(real), styles), real, styles)
    labels = sound.labels()
    again = sound if maps is None else Rows(cast(LabelMaps, maps), real, styles)
    return Subject(labels, again, SMALL, lambda: (whole(labels), labels.sha256))


def whole(labels: DatasetLabels) -> Tensor:
    return numbered(torch.arange(len(labels)), labels)


class MadePerBatch:
    """The fault that labels of contrastive losses are prone to: numbered among the names of the batch."""

    def label(self, tasks: Sequence[str], styles: Sequence[str]) -> DatasetLabels:
        return LabelMaps.of(tasks, styles).label(tasks, styles)


class MadePerWorker:
    """Maps of a worker's own."""

    def __init__(self) -> None:
        self.maps = subject().labels.maps

    def label(self, tasks: Sequence[str], styles: Sequence[str]) -> DatasetLabels:
        labels = self.maps.label(tasks, styles)
        return labels if get_worker_info() is None else replace(labels, style=(labels.style + 1) % 4)


class MadeByOrder:
    """Numbered as the names come, from the first row of a batch on: right in batches that begin with row 0 alone."""

    def label(self, tasks: Sequence[str], styles: Sequence[str]) -> DatasetLabels:
        labels = subject().labels.maps.label(tasks, styles)
        sorted_before = list(tasks) == list(task_names(movements()))[: len(tasks)]
        return labels if sorted_before else replace(labels, task=labels.task * 0)


class Lenient:
    """A map that encodes unknown names as class 0."""

    def __init__(self, known: LabelMap) -> None:
        self.known = known

    def __getattr__(self, name: str) -> Any:
        return getattr(self.known, name)

    def __len__(self) -> int:
        return len(self.known)

    def encode(self, names: Sequence[str]) -> Tensor:
        return torch.tensor([self.known.names.index(name) if name in self.known.names else 0 for name in names])


def with_map(kind: str, change: Callable[[LabelMap], Any]) -> Subject:
    """Labels whose map of a kind is another's; the rows keep theirs."""
    right = subject()
    maps = copy.deepcopy(right.labels.maps)
    object.__setattr__(maps, kind, change(getattr(maps, kind)))
    return replace(right, labels=replace(right.labels, maps=maps))


def reversed_names(found: LabelMap) -> LabelMap:
    object.__setattr__(found, "names", found.names[::-1])
    return found


def moved(row: int = 5) -> Subject:
    """Return labels to check where a row has another task in a new process."""
    right = subject()
    found = whole(right.labels)
    found[row, 1] += 1
    return replace(right, elsewhere=lambda: (found, right.labels.sha256))


def renamed() -> Subject:
    right = subject()
    return replace(right, elsewhere=lambda: (whole(right.labels), "0" * 64))


def died() -> tuple[Tensor, str]:
    raise ConfigError("a new process exited with code 1: MemoryError")


FAULTS: dict[str, tuple[Callable[[], Subject], set[str]]] = {
    "made per batch": (lambda: subject(MadePerBatch()), {"batch sizes", "shuffles", "workers"}),
    "made per worker": (lambda: subject(MadePerWorker()), {"workers"}),
    "made by order": (
        lambda: replace(subject(MadeByOrder()), config=replace(SMALL, batch_sizes=(40,))),
        {"shuffles", "workers"},
    ),
    "unknown taken for 0": (lambda: with_map("style", Lenient), {"unknown names"}),
    "not sorted": (lambda: with_map("task", reversed_names), {"maps", "another process"}),
    "another task elsewhere": (moved, {"another process"}),
    "other names elsewhere": (renamed, {"another process"}),
    "no answer from elsewhere": (lambda: replace(subject(), elsewhere=died), {"another process"}),
}


def failing(found: Subject) -> set[str]:
    return {name for name, check in CHECKS.items() if run_check(check, found).state == FAIL}


def test_labels_that_are_right_pass_every_check() -> None:
    assert failing(subject()) == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_the_checks_meant_for_it(fault: str) -> None:
    made, expected = FAULTS[fault]
    found = made()
    assert failing(found) == expected
    for name in expected:
        text = run_check(CHECKS[name], found).text
        assert text
        assert "\n" not in text


def test_every_check_can_fail() -> None:
    assert set.union(*(expected for _, expected in FAULTS.values())) == set(CHECKS)


def test_a_difference_names_the_first_row_and_what_differs_there() -> None:
    finding = run_check(CHECKS["another process"], moved(5))
    task = int(subject().labels.task[5])
    rows = f"1 of 40 rows differ, the first is row 5: task {task + 1} instead of {task}"
    assert finding.text == f"1 of 1 passes differ; a new process: {rows}"


def test_repeated_and_missing_rows_are_a_difference() -> None:
    right = subject()
    found = whole(right.labels)
    assert difference(found, right.labels) == ""
    assert "got 39 rows" in difference(found[:-1], right.labels)
    assert "got 40 rows" in difference(found[[0, 0, *range(2, 40)]], right.labels)


@pytest.mark.parametrize(("batch_size", "shuffle", "workers"), [(1, None, 0), (7, 0, 0), (16, 3, 1), (100, 1, 0)])
def test_every_row_is_read_once_with_its_own_labels(batch_size: int, shuffle: int | None, workers: int) -> None:
    right = subject()
    found = read(right.rows, batch_size, shuffle, workers)
    assert found[:, 0].tolist() == list(range(40))
    for k, kind in enumerate(KINDS):
        names = (task_names(movements()), None, right.rows.styles)[k]
        for row in range(40):
            name = getattr(right.labels.maps, kind).names[int(found[row, k + 1])]
            assert name == (names[row] if names else "human" if right.rows.styles[row] == HUMAN else "bot")


# the command


def labels_run(*arguments: str) -> int:
    return run(COMMAND, main, arguments)


@pytest.mark.heavy
def test_as_it_is_typed_the_labels_of_the_configured_data_agree_everywhere() -> None:
    few = ["batch_sizes=[1000]", "num_workers=[0,2]", "shuffles=1"]
    typed = [sys.executable, "-m", "platform.labels", *few]
    done = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=True)
    for part in ("Task: ", "Embodiment: 2 labels", "Style: ", "0512-1024 px E", "human  bots", *BOTS, *CHECKS):
        assert part in done.stdout
    assert done.stdout.splitlines()[-1] == "6 ok, 0 failed"
    assert label_command.rows_of(DetectorConfig()).labels().sha256 in done.stdout


def test_the_rows_are_the_users_of_all_splits_and_as_many_bots_of_every_style() -> None:
    rows = label_command.rows_of(DetectorConfig())
    human = rows.styles.index(next(style for style in rows.styles if style != HUMAN))
    assert set(rows.styles[:human]) == {HUMAN}
    assert HUMAN not in rows.styles[human:]
    assert len(rows) == 2 * human
    assert set(rows.styles[human:]) == set(BOTS)
    assert sorted(task_names(rows.movements)[:human]) == sorted(task_names(rows.movements)[human:])


def test_a_check_that_fails_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right = subject()
    monkeypatch.setattr(label_command, "rows_of", lambda config: right.rows)
    monkeypatch.setattr(label_command, "elsewhere", lambda config: moved(7).elsewhere())
    assert labels_run("batch_sizes=[9]", "num_workers=[0]") == FAILED
    out = capsys.readouterr().out
    assert "5 ok, 1 failed" in out
    assert "the first is row 7" in out


def test_a_fresh_process_gets_the_configuration_and_another_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    config, seeds = build(DetectorConfig, {"seed": 3}), []

    def fresh(typed: list[str], **given: Any) -> subprocess.CompletedProcess[str]:
        assert build(DetectorConfig, json.loads(given["input"])) == config
        seeds.append(given["env"]["PYTHONHASHSEED"])
        return subprocess.CompletedProcess(typed, 0, json.dumps({"rows": [[0, 1, 2, 3]], "sha256": "f"}), "")

    monkeypatch.setattr(subprocess, "run", fresh)
    for here in ("1", "0"):
        monkeypatch.setenv("PYTHONHASHSEED", here)
        rows, sha256 = label_command.elsewhere(config)
        assert (rows.tolist(), sha256) == ([[0, 1, 2, 3]], "f")
    assert seeds == ["2", "1"]


@pytest.mark.parametrize(
    ("stderr", "line"), [("Traceback\nRecordingError: /no.csv", "RecordingError: /no.csv"), ("", "-")]
)
def test_a_failed_process_is_reported_with_its_last_line(
    stderr: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.CompletedProcess[str]([], 1, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda typed, **given: ended)
    with pytest.raises(ConfigError) as exc_info:
        label_command.elsewhere(DetectorConfig())
    assert str(exc_info.value) == f"a new process exited with code 1: {line}"


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("check", "`labels check` was renamed: use python -m platform.labels\n"),
        ("batch_sizes=[]", "`batch_sizes` to have 1 or more entries"),
        ("batch_sizes=[0]", "expected `batch_sizes >= 1`, but got batch_sizes=0"),
        ("num_workers=[-1]", "expected `num_workers >= 0`, but got num_workers=-1"),
        ("shuffles=0", "`shuffles >= 1`"),
        ("shuffle=1", "did you mean `shuffles`?"),
        ("trainable.data.source=quux", "trainable.data: expected `source`"),
        ("trainable.negatives.alpha=-1", "trainable.negatives"),
    ],
)
def test_wrong_input_is_one_line(argument: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert labels_run(argument) == WRONG_INPUT
    printed = capsys.readouterr().err
    assert named in printed
    assert printed.count("\n") == 1
