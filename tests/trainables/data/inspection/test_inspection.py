"""Figures of recordings: against plain loops, against the splits themselves, and however the recordings come."""

import math
from collections import Counter
from dataclasses import replace
from statistics import median

import numpy as np
import pytest

from tests.trainables.data.inspection.takes_of import in_parts, recordings
from trainables.data.canonical import usable
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.inspection import inspection as module
from trainables.data.inspection.figures import LENGTHS, MovementFigures
from trainables.data.inspection.inspection import Inspection
from trainables.data.readers.recording_set import Recording, RecordingSet
from trainables.data.readers.recordings import read_recordings
from trainables.data.splits.assignment import split_of
from trainables.data.splits.loading import load_splits
from trainables.data.splits.parts import observe_recordings

ROWS = recordings(users=4, movements=6)


def figures_of(rows: list[Recording]) -> MovementFigures:
    found = Inspection.of(in_parts(rows, 100)).figures
    assert found is not None
    return found


def test_the_account_is_the_sum_over_the_sets() -> None:
    found = Inspection.of(in_parts(ROWS, 7))
    assert (found.read, found.kept, found.dropped, found.repaired_events) == (28, 24, {"why": 4}, {"event": 8})


@pytest.mark.parametrize("size", [1, 5, 24])
def test_figures_and_choice_do_not_depend_on_how_the_recordings_come(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Inspection.of(in_parts(ROWS, 24))
    monkeypatch.setattr(module, "PART", 3)
    found = Inspection.of(in_parts(ROWS, size))
    assert found.figures == whole.figures
    assert len(found.shown) == len(whole.shown) > 0
    for one, other in zip(found.shown, whole.shown, strict=True):
        assert (one.user, one.t_ms.tolist(), one.x.tolist()) == (other.user, other.t_ms.tolist(), other.x.tolist())


def test_clock_and_pixels_are_those_of_plain_loops() -> None:
    found = figures_of(ROWS)
    steps = [[b - a for a, b in zip(one.t_ms[:-1], one.t_ms[1:], strict=True)] for one in ROWS]
    later = [step for its in steps for step in its[1:]]
    assert found.step_ms.median == pytest.approx(median(median(its) for its in steps))
    assert found.whole_ms == pytest.approx(sum(step == round(step) for step in later) / len(later))
    assert found.gaps == pytest.approx(sum(max(its) > 100 for its in steps) / len(ROWS))
    coordinates = [value for one in ROWS for value in (*one.x, *one.y)]
    assert found.whole_px == pytest.approx(sum(value == round(value) for value in coordinates) / len(coordinates))
    assert 0 < found.whole_px < 1
    assert 0 < found.whole_ms < 1


def test_lengths_targets_and_extremes_are_those_of_plain_loops() -> None:
    found = figures_of(ROWS)
    durations = [one.t_ms[-1] / 1000 for one in ROWS]
    distances = [math.dist((one.x[0], one.y[0]), (one.x[-1], one.y[-1])) for one in ROWS]
    for spread, values in ((found.duration_s, durations), (found.distance_px, distances)):
        expected = np.percentile(values, [5, 50, 95])
        assert (spread.low, spread.median, spread.high) == pytest.approx(tuple(expected))
    assert (found.targets, found.widths) == (8 / 24, 4 / 24)
    assert found.target_width_px is not None
    assert found.target_width_px.median == median([1.0, 7.0, 13.0, 19.0])
    assert found.x_px == (min(min(one.x) for one in ROWS), max(max(one.x) for one in ROWS))
    assert found.y_px == (min(min(one.y) for one in ROWS), max(max(one.y) for one in ROWS))


def test_users_and_sessions_are_those_of_plain_loops() -> None:
    rows = ROWS[:22]
    found, sizes = figures_of(rows), Counter(one.user for one in rows)
    counts = sizes.values()
    assert (found.users.count, found.users.fewest, found.users.most) == (4, min(counts), max(counts))
    assert found.users.median == median(counts)
    assert found.users.effective == pytest.approx(sum(counts) ** 2 / sum(count**2 for count in counts))
    assert found.users.largest_share == max(counts) / len(rows)
    assert sizes[found.users.largest] == max(counts)
    assert found.sessions == len({(one.source, one.user, one.session) for one in rows})


def test_usable_movements_are_those_of_the_canonical_form_by_source() -> None:
    rows = ROWS + recordings(users=3, movements=4, source="other", seed=1)
    found = figures_of(rows)
    assert set(found.sources) == {"lab", "other"}
    for name, source in found.sources.items():
        its = [one for one in rows if one.source == name]
        movements = observe_recordings(its)
        for steps in LENGTHS:
            config = CanonicalConfig(sequence_length=steps)
            kept, _ = usable(movements, config)
            longer = sum(length > steps for length in movements.length.tolist())
            assert source.usable[steps] == (len(kept), len(its), longer)
    for steps in LENGTHS:
        lost = sum(found.unusable[steps].values())
        assert lost == len(rows) - sum(source.usable[steps].usable for source in found.sources.values())


def test_splits_are_those_of_the_training() -> None:
    splits = load_splits(DataConfig())
    found = Inspection.of([read_recordings("cursory")]).figures
    assert found is not None
    assert found.sequence_length == 64
    for name, split in splits.splits.items():
        assert (found.splits[name].movements, found.splits[name].users) == (len(split), len(set(split.group)))
    assert {name: source.usable[64] for name, source in found.sources.items()} == splits.kept
    reasons = {reason: count for reason, count in splits.dropped.items() if count}
    assert found.unusable[64] == reasons


def test_users_of_splits_are_counted_by_source() -> None:
    found = figures_of(recordings(users=30, movements=1))
    expected = Counter(split_of(f"lab/{number}", "lab") for number in range(30))
    assert sum(found.sources["lab"].split_users.values()) <= 30
    for split, users in found.sources["lab"].split_users.items():
        assert users <= expected[split]


def test_a_longer_sequence_is_needed_where_64_steps_keep_little() -> None:
    long = [replace(one, t_ms=np.linspace(0, 1800.0, len(one.t_ms))) for one in ROWS]
    assert figures_of(long).sequence_length == 128
    short = [replace(one, t_ms=np.linspace(0, 600.0, len(one.t_ms))) for one in ROWS]
    assert figures_of(short).sequence_length == 64


def test_an_edge_is_reached_by_two_movements_of_a_session() -> None:
    def one(user: str, low: float, high: float) -> Recording:
        values = low + (high - low) * np.arange(20.0) / 19.0
        return Recording(np.arange(20.0) * 16.0, values, values + 0.25, "lab", user, "1")

    alone = [one("a", 0, 100), one("b", 0, 90), one("c", 20, 100)]  # each in a session of its own
    assert figures_of(alone).at_edges == 0
    assert figures_of([*alone, one("a", 10, 100)]).at_edges == 2 / 4  # both reach 100 in the session of a


def test_users_with_the_name_of_their_only_session_are_named_by_files() -> None:
    rows = [replace(one, session=one.user.rpartition("/")[2]) for one in ROWS]
    assert figures_of(rows).named_by_files
    assert not figures_of(ROWS).named_by_files
    assert not figures_of([one for one in rows if one.user == rows[0].user]).named_by_files


def test_times_that_a_change_of_unit_made_are_whole() -> None:
    t_ms = np.arange(30.0) * 0.017 * 1000
    assert (t_ms != np.rint(t_ms)).any()
    assert figures_of([replace(ROWS[0], t_ms=t_ms, x=np.arange(30.0), y=np.arange(30.0))]).whole_ms == 1


def test_nothing_kept_has_an_account_and_no_figures() -> None:
    found = Inspection.of([RecordingSet((), 3, {"why": 3})])
    assert (found.read, found.kept, found.figures, found.shown) == (3, 0, None, ())


def test_a_movement_of_two_points_is_measured() -> None:
    one = Recording(np.array([0.0, 16.0]), np.array([0.0, 3.0]), np.array([0.0, 4.0]), "lab", "a", "1")
    found = figures_of([one])
    assert (found.step_ms.median, found.whole_ms, found.distance_px.median) == (16.0, 1.0, 5.0)
