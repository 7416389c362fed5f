"""Warnings about recordings: none where nothing is wrong, and each where its cause is, with what to do."""

from dataclasses import replace
from typing import Any

import pytest

from trainables.data.inspection.advice import ACCOUNT_WARNINGS, FIGURE_WARNINGS, warnings_of
from trainables.data.inspection.figures import MovementFigures, SourceFigures, SplitFigures, Spread, UserFigures
from trainables.data.inspection.inspection import Inspection
from trainables.data.readers.cleaning import EDGE
from trainables.data.readers.segment import SLOW_SESSION
from trainables.data.splits.parts import Kept

STEP = Spread(16.0, 16.0, 17.0)
SPLIT_USERS = {"train": 40, "validation": 20, "test": 20, "holdout": 20}
SOURCE = SourceFigures(1000, 100, STEP, {64: Kept(950, 1000, 50), 128: Kept(1000, 1000, 0)}, SPLIT_USERS)
SOUND = MovementFigures(
    sources={"lab": SOURCE},
    sequence_length=64,
    unusable={64: {"longer than T=64 steps at 60 Hz": 50}, 128: {}},
    splits={name: SplitFigures(10 * users, users, users) for name, users in SPLIT_USERS.items()},
    users=UserFigures(100, 95.0, 5, 10.0, 20, "lab/1", 0.02),
    sessions=100,
    step_ms=STEP,
    whole_ms=1.0,
    whole_px=1.0,
    gaps=0.1,
    x_px=(0.0, 1919.0),
    y_px=(0.0, 1079.0),
    at_edges=0.01,
    duration_s=Spread(0.3, 0.7, 1.5),
    distance_px=Spread(50.0, 400.0, 900.0),
    targets=0.0,
    widths=0.0,
    target_width_px=None,
    named_by_files=False,
)


def warned(account: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    """Return the warnings of sound recordings of which something is changed."""
    sound = Inspection(1010, 1000, {EDGE: 10}, {}, replace(SOUND, **changes), ())
    return warnings_of(replace(sound, **(account or {})))


def several(**sources: Any) -> dict[str, SourceFigures]:
    """Return sources of which each has some changes."""
    return {name: replace(SOURCE, **changes) for name, changes in sources.items()}


def test_there_is_no_warning_where_nothing_is_wrong() -> None:
    assert warned() == []


NO_TEST = {**SPLIT_USERS, "test": 0}
CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing_kept": (
        {"account": {"read": 7, "kept": 0, "dropped": {EDGE: 6, "why": 1}, "figures": None}},
        "no movement of 7 is kept; keep targets away from the edges of the screen",
    ),
    "much_dropped": (
        {"account": {"read": 1300, "dropped": {SLOW_SESSION: 300}}},
        f"23% of the movements are dropped: {SLOW_SESSION}; record at 60 Hz or more",
    ),
    "empty_splits": (
        {"sources": several(lab={"split_users": NO_TEST})},
        "no user of lab is in test, so that a training is refused; read recordings of more users",
    ),
    "trained_on_only": (
        {"sources": several(cursory={"split_users": {**NO_TEST, "validation": 0, "holdout": 0}})},
        (
            "cursory is trained on only: its groups are session blocks of unnamed users, so that one user may stand in "
            "two of them; read another source beside it to evaluate"
        ),
    ),
    "few_users": (
        {"users": replace(SOUND.users, count=59)},
        (
            "59 users: intervals are wide, since an evaluated split has a sixth to a third; record 60 or more, and "
            "evaluate with crossfit=5, which takes all of them"
        ),
    ),
    "dominant_user": (
        {"users": replace(SOUND.users, largest_share=0.34)},
        (
            "34% of the movements are of the user lab/1, whom a model trained on them imitates; record more of the "
            "others, or leave some of these out"
        ),
    ),
    "one_file_per_user": (
        {"named_by_files": True},
        (
            "every user has one session of the same name, as where a file stands for a user; give all files of one "
            "human one user, by a column or a folder, or they are in two splits"
        ),
    ),
    "one_laboratory": (
        {"sources": several(flanker_exp1={}, kh2017={}, numberline={})},
        (
            "flanker_exp1, numberline are of one laboratory, so that a human may be in two splits under two names; "
            "leave all but one out where that matters (data.leave_out)"
        ),
    ),
    "short_sequences": (
        {"sources": several(lab={"usable": {64: Kept(690, 1000, 300), 128: Kept(990, 1000, 0)}})},
        "T=64 steps keep 69% of lab; set data.canonical.sequence_length=128",
    ),
    "much_unusable": (
        {"unusable": {64: {"net displacement under 8 px": 201}, 128: {}}},
        (
            "20% of the kept movements cannot be used: net displacement under 8 px; see What is dropped and counted "
            "in docs/data.md"
        ),
    ),
    "slow_recorder": (
        {"sources": several(lab={"step_ms": Spread(16.0, 20.0, 21.0)})},
        (
            "lab is recorded every 20.0 ms, slower than 60 Hz: what lies between is interpolated, which tells this "
            "recorder from others; record at 60 Hz or more"
        ),
    ),
    "sub_pixels": (
        {"whole_px": 0.98},
        (
            "2% of the coordinates lie between pixels and are rounded; record pixels of the screen: those of a scaled "
            "page times window.devicePixelRatio"
        ),
    ),
}
"""Function -> what is changed, and its warning."""


def test_every_warning_is_tested() -> None:
    assert set(CAUSES) == {about.__name__ for about in (*ACCOUNT_WARNINGS, *FIGURE_WARNINGS)}


@pytest.mark.parametrize("name", CAUSES)
def test_each_cause_gives_its_warning_alone(name: str) -> None:
    changes, message = CAUSES[name]
    assert warned(**changes) == [message]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {**SOUND.splits, "train": SplitFigures(0, 0, 0.0)}}, "no user is in train, so that a training is"),
        ({"sources": several(lab={"split_users": NO_TEST}, b={})}, "more users, or leave it out"),
        ({"sources": several(cursory={"split_users": NO_TEST}, b={})}, "of them; the others are evaluated"),
        ({"x_px": (0.0, 1.0), "y_px": (0.0, 0.6), "whole_px": 0.1}, "positions from 0 to 1 are no pixels; multiply"),
        (
            {"sequence_length": 128, "unusable": {64: {}, 128: {"longer than T=128 steps at 60 Hz": 300}}},
            "longer than T=128 steps at 60 Hz; set data.canonical.sequence_length above 128, or end a movement",
        ),
    ],
)
def test_the_other_forms_of_warnings(changes: dict[str, Any], message: str) -> None:
    assert len(warned(**changes)) == 1
    assert message in warned(**changes)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"account": {"read": 1250, "dropped": {EDGE: 250}}},
        {"users": replace(SOUND.users, count=60)},
        {"users": replace(SOUND.users, largest_share=0.33)},
        {"sources": several(lab={"usable": {64: Kept(700, 1000, 300), 128: Kept(700, 1000, 300)}})},
        {"sources": several(lab={"usable": {64: Kept(600, 1000, 0), 128: Kept(600, 1000, 0)}})},
        {"sources": several(lab={"step_ms": Spread(16.0, 17.0, 90.0)})},  # 60 Hz in whole milliseconds
        {"sources": several(a={}, kh2017={})},
        {"whole_px": 0.995},
        {"unusable": {64: {"longer than T=64 steps at 60 Hz": 290}, 128: {}}},
    ],
)
def test_just_within_its_bound_there_is_none(changes: dict[str, Any]) -> None:
    assert warned(**changes) == []
