"""A study on disk: opened, continued, refused, read, mended, held by one driver, and ranked."""

import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from platform.recovery import FOLDER, METRICS, OVERRIDES, REASON, REPEATS, RESUMES, RETRIED, START
from platform.settings import Sweep, TuneConfig
from platform.study import (
    INTERRUPTED,
    JOURNAL,
    OBJECTIVES,
    held,
    load_study,
    mend,
    objectives_of,
    open_study,
    ranking,
)
from search_spaces import SPACES
from trainables.config import ConfigError, plain
from trainables.diffusion.config import DiffusionConfig
from trainables.names import CHECKPOINT_PATH, EPOCH, VAL_C2ST, VAL_C2ST_EXCESS, VAL_MMD, VAL_RECALL
from trainables.session import METRICS_FILE

ROOT = Path(__file__).resolve().parents[2]
LAW = {"x": FloatDistribution(0.0, 1.0)}
RECORD = {
    "data_sha256": "d1",
    "config_hash": "c1",
    OBJECTIVES: [VAL_C2ST_EXCESS],
    "constraints": [],
    "rung": VAL_C2ST_EXCESS,
    "config": {"epochs": 12},
}


def sweep_in(folder: Path, **settings: Any) -> Sweep:
    trainable = plain(DiffusionConfig())
    return Sweep(TuneConfig(storage_path=str(folder), **settings), trainable, SPACES["diffusion"], ())


def add(
    study: optuna.Study,
    state: TrialState,
    value: float | Sequence[float] | None = None,
    history: dict[int, float] | None = None,
    attributes: dict[str, Any] | None = None,
    constraints: dict[str, float] | None = None,
) -> None:
    """A trial that ended, as the bridge tells it."""
    trial = optuna.trial.create_trial(
        state=state,
        values=value if isinstance(value, Sequence) or value is None else [value],
        params={"x": 0.5},
        distributions=dict(LAW),
        intermediate_values=history or {},
        user_attrs=attributes or {},
        constraints=constraints,
    )
    study.add_trial(trial)


def test_a_study_is_a_journal_in_its_folder_and_goes_on(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    add(open_study(sweep, RECORD), TrialState.COMPLETE, 0.25)
    again = open_study(sweep, RECORD)
    assert (tmp_path / "mine" / JOURNAL).is_file()
    assert (again.study_name, again.direction.name, again.best_value) == ("mine", "MINIMIZE", 0.25)
    assert again.user_attrs == RECORD


def test_studies_of_other_names_are_apart(tmp_path: Path) -> None:
    add(open_study(sweep_in(tmp_path, study_name="a"), RECORD), TrialState.COMPLETE, 0.25)
    assert open_study(sweep_in(tmp_path, study_name="b"), {**RECORD, "data_sha256": "d2"}).trials == []


@pytest.mark.parametrize("key", ["data_sha256", "config_hash", OBJECTIVES, "constraints", "rung"])
def test_trials_that_cannot_be_compared_are_not_mixed(tmp_path: Path, key: str) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    open_study(sweep, RECORD)
    with pytest.raises(ConfigError) as caught:
        open_study(sweep, {**RECORD, key: "other"})
    assert all(word in str(caught.value) for word in ("study_name=mine", key, str(RECORD[key]), "other"))
    assert "\n" not in str(caught.value)
    assert open_study(sweep, RECORD).user_attrs == RECORD


def test_what_comparison_does_not_rest_on_may_differ(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path)
    open_study(sweep, RECORD)
    assert open_study(sweep, {**RECORD, "config": {"epochs": 12, "note": 1}}).user_attrs == RECORD


def test_the_sampler_is_the_one_asked_for_and_depends_on_seed_and_trials(tmp_path: Path) -> None:
    def points(folder: str, seed: int) -> list[float]:
        """What three openings of one study suggest first."""
        sweep = sweep_in(tmp_path / folder, sampler="random", seed=seed)
        studies = (open_study(sweep, RECORD) for _ in range(3))
        return [float(study.ask(dict(LAW)).params["x"]) for study in studies]

    first = points("a", 0)
    assert isinstance(open_study(sweep_in(tmp_path, sampler="random"), RECORD).sampler, optuna.samplers.RandomSampler)
    assert len(set(first)) == 3
    assert points("b", 0) == first
    assert set(points("c", 1)).isdisjoint(first)


def test_a_database_keeps_a_study_as_well(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, storage=f"sqlite:///{tmp_path}/s.db")
    add(open_study(sweep, RECORD), TrialState.COMPLETE, 0.25)
    assert open_study(sweep, RECORD).best_value == 0.25
    assert not (sweep.settings.folder / JOURNAL).exists()


@pytest.mark.parametrize("url", ["nonsense", "quux://study", "sqlite:////nowhere/at/all/s.db"])
def test_a_wrong_storage_is_one_line_that_names_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=f"storage={url}") as caught:
        open_study(sweep_in(tmp_path, storage=url), RECORD)
    assert "\n" not in str(caught.value)


def test_no_error_shows_a_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_study(sweep_in(tmp_path, storage="quux://someone:secret@host/study"), RECORD)
    assert "secret" not in str(caught.value)
    assert "storage=quux://someone:***@host/study" in str(caught.value)


def test_a_folder_that_cannot_be_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"storage_path=.*/file: ") as caught:
        open_study(sweep_in(tmp_path / "file", study_name="mine"), RECORD)
    assert "\n" not in str(caught.value)


def named(*objectives: str, directions: tuple[str, ...] = ()) -> optuna.Study:
    """A study in memory that says what it optimises."""
    ways: list[Any] = list(directions) or ["minimize" for _ in objectives]
    study = optuna.create_study(directions=ways)
    study.set_user_attr(OBJECTIVES, list(objectives))
    return study


@pytest.fixture
def mixed() -> optuna.Study:
    """Trials of every state; the number says nothing about the merit."""
    study = named(VAL_C2ST_EXCESS)
    add(study, TrialState.FAIL, attributes={REASON: "val/c2st_excess is nan"})
    add(study, TrialState.PRUNED, history={0: 0.3, 2: 0.1}, attributes={METRICS: {VAL_C2ST_EXCESS: 0.1, VAL_MMD: 0.2}})
    add(study, TrialState.COMPLETE, 0.2, {0: 0.4, 4: 0.2}, attributes={METRICS: {VAL_MMD: 0.5, VAL_C2ST: 0.7}})
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.3}})
    add(study, TrialState.RUNNING)
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.2}})
    add(study, TrialState.PRUNED, history={2: 0.1}, attributes={METRICS: {VAL_C2ST_EXCESS: 0.1, VAL_MMD: 0.1}})
    add(study, TrialState.WAITING)
    add(study, TrialState.COMPLETE, 0.0)
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.2}})
    return study


def test_trials_rank_by_metric_then_tie_breaker_then_number(mixed: optuna.Study) -> None:
    """Full or stopped; one without a tie breaker is the last among its equals, one without a value the last of all."""
    assert [trial.number for trial in ranking(mixed, VAL_MMD)] == [5, 9, 3, 8, 6, 1, 2, 0]


def test_a_ranked_trial_says_what_happened(mixed: optuna.Study) -> None:
    by_number = {trial.number: trial for trial in ranking(mixed, VAL_MMD)}
    full, failed = by_number[2], by_number[0]
    assert (full.state, full.epoch, full.value, full.history) == ("COMPLETE", 4, 0.2, {0: 0.4, 4: 0.2})
    assert (full.metrics, full.params, full.checkpoint) == ({VAL_MMD: 0.5, VAL_C2ST: 0.7}, {"x": 0.5}, None)
    assert (failed.state, failed.epoch, failed.reason) == ("FAIL", 0, "val/c2st_excess is nan")
    assert math.isnan(failed.value)


def test_the_checkpoint_is_the_newest_in_its_folder_or_what_it_went_on_from(tmp_path: Path) -> None:
    for epoch in (2, 10, 9):
        written(tmp_path / "own" / f"checkpoint_{epoch:06d}", epoch)
    start = written(tmp_path / "earlier" / "checkpoint_000001", 1)
    from_start = {START: {"checkpoint": str(start), EPOCH: 1, METRICS: {}}, RESUMES: 0}
    study = named(VAL_C2ST_EXCESS)
    reported = str(tmp_path / "own" / "checkpoint_000002")
    for attributes in (
        {FOLDER: str(tmp_path / "own")},
        {FOLDER: str(tmp_path / "nothing"), CHECKPOINT_PATH: reported},
        {FOLDER: str(tmp_path / "nothing")},
        {},
        from_start,
    ):
        add(study, TrialState.COMPLETE, 0.1, attributes=attributes)
    newest = tmp_path / "own" / "checkpoint_000010"
    assert [trial.checkpoint for trial in ranking(study, VAL_MMD)] == [newest, newest, None, None, start]


def written(folder: Path, epoch: int) -> Path:
    """What a ranking reads of a checkpoint: its metrics and its record, no tensors."""
    folder.mkdir(parents=True)
    (folder / METRICS_FILE).write_text(f'{{"{EPOCH}": {epoch}}}')
    (folder / "record.json").write_text("{}")
    return folder


def test_a_cut_trial_is_shown_until_its_successor_has_begun() -> None:
    cut = {RETRIED: True, METRICS: {VAL_C2ST_EXCESS: 0.1}, REASON: "the time is over"}
    for state, expected in ((TrialState.WAITING, [INTERRUPTED]), (TrialState.RUNNING, []), (TrialState.FAIL, ["FAIL"])):
        study = named(VAL_C2ST_EXCESS)
        add(study, TrialState.FAIL, attributes=cut)
        add(study, state, attributes={RESUMES: 0})
        assert [trial.state for trial in ranking(study, VAL_MMD)] == expected


def test_repeats_are_no_part_of_a_ranking() -> None:
    study = named(VAL_C2ST_EXCESS)
    add(study, TrialState.COMPLETE, 0.3)
    repeat = {REPEATS: 0, OVERRIDES: {"seed": 1}, METRICS: {VAL_C2ST_EXCESS: 0.1}}
    add(study, TrialState.COMPLETE, 0.1, attributes=repeat)
    add(study, TrialState.FAIL, attributes={**repeat, RETRIED: True})
    assert [trial.number for trial in ranking(study, VAL_MMD)] == [0]


def test_a_study_that_does_not_say_what_it_optimises_is_named() -> None:
    study = optuna.create_study(study_name="theirs")
    with pytest.raises(ConfigError, match=r"study_name=theirs: the study does not record its objectives"):
        objectives_of(study)


GRID = st.sampled_from([0.0, 0.25, 0.5, 0.75])
POINTS = st.lists(st.tuples(GRID, GRID, st.booleans(), st.booleans()), max_size=9)


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """At least as good in both and better in one; smaller is better in the first, larger in the second."""
    return a[0] <= b[0] and a[1] >= b[1] and (a[0] < b[0] or a[1] > b[1])


def depth(number: int, among: dict[int, tuple[float, float]]) -> int:
    """How many fronts have to go before none is left that dominates the point."""
    left, gone = dict(among), 0
    while True:
        front = [n for n in left if not any(dominates(left[m], left[n]) for m in left if m != n)]
        if number in front:
            return gone
        left = {n: point for n, point in left.items() if n not in front}
        gone += 1


@given(POINTS)
def test_fronts_are_those_of_the_definition_and_feasible_trials_stand_before_all_others(
    points: list[tuple[float, float, bool, bool]],
) -> None:
    """Complete trials and stopped ones, some of which break a constraint; the front is one of trials that keep it."""
    study = named(VAL_C2ST_EXCESS, VAL_RECALL, directions=("minimize", "maximize"))
    kept, broken = dict[int, tuple[float, float]](), dict[int, tuple[float, float]]()
    for number, (first, second, full, feasible) in enumerate(points):
        state = TrialState.COMPLETE if full else TrialState.PRUNED
        metrics = {METRICS: {VAL_C2ST_EXCESS: first, VAL_RECALL: second}}
        bound = {"bound": -0.1 if feasible else 0.1}
        add(study, state, (first, second) if full else None, attributes=metrics, constraints=bound)
        (kept if feasible else broken)[number] = (first, second)
    found = ranking(study, VAL_MMD)
    order = [*sorted(kept, key=lambda n: (depth(n, kept), kept[n][0], n))]
    order += sorted(broken, key=lambda n: (depth(n, broken), broken[n][0], n))
    assert [trial.number for trial in found] == order
    assert {trial.number for trial in found if trial.front} == {n for n in kept if depth(n, kept) == 0}
    assert [trial.feasible for trial in found] == [True] * len(kept) + [False] * len(broken)


def test_three_hundred_trials_rank_in_no_time() -> None:
    """After each end of a trial the quota asks for the ranking, twice."""
    study = named(VAL_C2ST_EXCESS)
    for number in range(300):
        add(study, TrialState.COMPLETE, (number * 37 % 300) / 300)
    began = time.perf_counter()
    assert [trial.value for trial in ranking(study, VAL_MMD)] == [number / 300 for number in range(300)]
    assert time.perf_counter() - began < 1.0


def test_a_study_is_read_where_there_is_one_and_never_made(tmp_path: Path) -> None:
    add(open_study(sweep_in(tmp_path, study_name="mine"), RECORD), TrialState.COMPLETE, 0.25)
    before = sorted(tmp_path.rglob("*"))
    assert load_study(tmp_path, "mine").best_value == 0.25
    with pytest.raises(ConfigError, match=r"study_name=other: no such study in .*; known: mine"):
        load_study(tmp_path, "other")
    with pytest.raises(ConfigError, match=r"study_name=other: no such study in .*there is none yet"):
        load_study(tmp_path / "nowhere", "other")
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_from_a_database_makes_nothing_either(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(ConfigError, match=r"`storage` is a database that exists.*s\.db"):
        load_study(tmp_path / "results", "mine", url)
    assert list(tmp_path.iterdir()) == []
    open_study(sweep_in(tmp_path, study_name="mine", storage=url), RECORD)
    with pytest.raises(ConfigError, match="study_name=other: no such study"):
        load_study(tmp_path / "elsewhere", "other", url)
    assert load_study(tmp_path / "elsewhere", "mine", url).user_attrs == RECORD
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a study with two trials, the second one running."""
    study = open_study(sweep_in(tmp_path, study_name="mine"), RECORD)
    study.tell(study.ask(dict(LAW)), 0.25)
    study.ask(dict(LAW)).set_user_attr("last", "line")
    return tmp_path / "mine" / JOURNAL


def test_a_torn_last_line_is_cut_wherever_it_was_torn_and_optuna_reads_on(journal: Path, tmp_path: Path) -> None:
    content = journal.read_bytes()
    begins = content.rfind(b"\n", 0, len(content) - 1) + 1
    for end in range(begins, len(content)):
        journal.write_bytes(content[:end])
        assert mend(journal) == end - begins
        assert journal.read_bytes() == content[:begins]
        study = load_study(tmp_path, "mine")
        assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
        study.set_user_attr("written", end)
        assert load_study(tmp_path, "mine").user_attrs["written"] == end


def test_a_torn_line_that_nobody_cuts_is_one_line_of_error_after_the_next_write(journal: Path, tmp_path: Path) -> None:
    """The other side of the test above."""
    journal.write_bytes(journal.read_bytes()[:-5])
    study = load_study(tmp_path, "mine")
    study.set_user_attr("written", 1)
    with pytest.raises(ValueError, match="delimiter"):
        study.set_user_attr("written", 2)
    with pytest.raises(ConfigError, match=r"study\.journal: a line of the journal is damaged") as caught:
        load_study(tmp_path, "mine")
    assert "\n" not in str(caught.value)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond a size: as on a disk without space, the first part of a line is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_the_full_disk_took_half_of_spoils_no_later_one(journal: Path, tmp_path: Path) -> None:
    """Tune takes the error for the trial's and goes on; then there is room again, and others are written."""
    study = load_study(tmp_path, "mine")
    for room in (1, 20, 60):
        with files_end_at(journal.stat().st_size + room), pytest.raises(OSError, match="too large"):
            study.set_user_attr("lost", "x" * 100)
        study.set_user_attr("room", room)
        again = load_study(tmp_path, "mine")
        assert (again.user_attrs["room"], "lost" in again.user_attrs) == (room, False)


def test_a_whole_journal_and_none_at_all_need_no_mending(journal: Path) -> None:
    before = journal.read_bytes()
    assert mend(journal) == 0
    assert journal.read_bytes() == before
    assert mend(journal.with_name("none")) == 0
    assert not journal.with_name("none").exists()


HOLD = """
import sys
from pathlib import Path
from platform.study import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_study_is_held_by_one_driver_until_its_end_whatever_that_is(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=r"study_name=mine: another sweep runs this study"), held(folder):
            pass
        other.send_signal(signal.SIGKILL)
    with held(folder):
        pass


def test_a_study_is_free_after_the_block_that_held_it(tmp_path: Path) -> None:
    with held(tmp_path / "a"), held(tmp_path / "b"), pytest.raises(ConfigError), held(tmp_path / "a"):
        pass
    with held(tmp_path / "a"):
        pass


def test_a_folder_that_cannot_be_held_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"storage_path=.*/file: cannot write there"), held(tmp_path / "file" / "s"):
        pass
