"""Properties of third-party bots and external users: read unchanged, grouped by pair of points, without known users."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.shared_data import SHARED
from trainables.core.config import ConfigError
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.readers.recordings import RecordingError
from trainables.data.splits.assignment import split_of
from trainables.data.splits.loading import load_splits
from trainables.detector.bots import FAMILIES
from trainables.detector.dataset.external_bots import (
    ORIGINS,
    RELATED_FAMILIES,
    REPLAYS,
    canonical_bots,
    read_bots,
    read_users,
)

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared/data are not here")
FORM = CanonicalConfig()


def row(style: str, number: int, events: int = 40) -> dict[str, Any]:
    """Return a straight movement of `events` events, 10 ms apart, from 5 ms on."""
    t_ms = [5.0 + 10.0 * k for k in range(events)]
    points = {"t_ms": t_ms, "x": [3.5 * k for k in range(events)], "y": [0.0] * events}
    return {"style": style, "trajectory_id": number, **points}


def saved(path: Path, *rows: dict[str, Any]) -> Path:
    pd.DataFrame(list(rows)).to_parquet(path)
    return path


def test_bots_are_read_unchanged_with_the_pair_of_points_as_their_group(tmp_path: Path) -> None:
    found = read_bots(saved(tmp_path / "b.parquet", row("pyclick", 3), row("ghost_cursor", 3), row("pyclick", 4)))
    assert found.style == ("pyclick", "ghost_cursor", "pyclick")
    assert [r.user for r in found.recordings] == ["pair 3", "pair 3", "pair 4"]
    assert found.recordings[0].t_ms.tolist() == [10.0 * k for k in range(40)]
    assert found.recordings[0].x.tolist() == [3.5 * k for k in range(40)]


def test_bots_that_the_form_cannot_represent_are_counted_by_style_and_reason(tmp_path: Path) -> None:
    rows = [row("pyclick", 1), row("pyclick", 2, events=4), row("ghost_cursor", 3, events=200), row("ghost_cursor", 4)]
    found = canonical_bots(read_bots(saved(tmp_path / "b.parquet", *rows)), FORM)
    assert found.style == ("pyclick", "ghost_cursor")
    assert found.family == ("bezier", "ghost_cursor")
    assert found.rows == (0, 3)
    assert found.canonical.group == ("pair 1", "pair 4")
    assert {style: dict(reasons) for style, reasons in found.dropped.items()} == {
        "ghost_cursor": {"longer than T=64 steps at 60 Hz": 1},
        "pyclick": {"fewer than 8 steps at 60 Hz": 1},
    }


def test_a_file_of_unusable_bots_is_refused(tmp_path: Path) -> None:
    bots = read_bots(saved(tmp_path / "b.parquet", row("pyclick", 1, events=3)))
    with pytest.raises(ConfigError, match="`bots with a canonical form >= 1`, but got 0 of 1"):
        canonical_bots(bots, FORM)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"style": "mine"}, "unknown style mine"),
        ({"t_ms": [0.0, 10.0, 5.0], "x": [0.0] * 3, "y": [0.0] * 3}, "row 2: .*not to decrease"),
        ({"x": [0.0, 1.0]}, "row 2: .*len"),
        ({"y": [float("nan")] * 40}, "row 2: .*finite"),
        ({"t_ms": [], "x": [], "y": []}, "row 2: .*len"),
    ],
)
def test_a_fault_of_a_file_is_one_line_with_its_row(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "b.parquet", row("pyclick", 1), {**row("pyclick", 2), **changed})
    with pytest.raises(RecordingError, match=message) as exc_info:
        read_bots(path)
    assert "\n" not in str(exc_info.value)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        read_bots(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordingError, match="cannot be read as Parquet"):
        read_bots(tmp_path / "b.parquet")
    with pytest.raises(RecordingError, match="missing column style"):
        read_bots(saved(tmp_path / "c.parquet", {"t_ms": [0.0], "x": [0.0], "y": [0.0], "trajectory_id": 1}))


def test_related_families_are_scripted_and_no_third_party_family_has_the_name_of_one() -> None:
    assert {related for origin in ORIGINS.values() for related in origin.related} <= set(FAMILIES)
    assert not set(RELATED_FAMILIES) & set(FAMILIES)
    assert REPLAYS == ("cursory",)
    for family, related in RELATED_FAMILIES.items():
        assert all(origin.related == related for origin in ORIGINS.values() if origin.family == family)


def events(user: str, source: str, count: int) -> pd.DataFrame:
    """Return `count` movements of one user, one session each."""
    frames = [
        pd.DataFrame({"t_ms": np.arange(40) * 10.0, "x": np.arange(40) * 9.0, "y": 0.0}).assign(
            user=user, source=source, session=f"s{k}"
        )
        for k in range(count)
    ]
    return pd.concat(frames)


def test_users_of_the_training_are_left_out_and_counted(tmp_path: Path) -> None:
    table = pd.concat([events("user1", "lab", 3), events("user2", "lab", 2), events("user1", "field", 4)])
    table.to_csv(tmp_path / "p.csv", index=False)
    found = read_users(tmp_path / "p.csv", FORM, known={"lab/user1"})
    assert {source: set(users.canonical.group) for source, users in found.items()} == {
        "field": {"field/user1"},
        "lab": {"lab/user2"},
    }
    assert {source: dict(users.dropped) for source, users in found.items()} == {
        "field": {},
        "lab": {"of users of the training or validation split": 3},
    }
    with pytest.raises(ConfigError, match="expected users of lab outside of the training and validation splits"):
        read_users(tmp_path / "p.csv", FORM, known={"lab/user1", "lab/user2"})


@pytest.mark.heavy
@needs_shared
def test_the_third_party_bots_are_twelve_styles_over_the_same_pairs() -> None:
    bots = read_bots(SHARED / "bots_thirdparty.parquet")
    assert set(bots.style) == set(ORIGINS)
    for style in ORIGINS:
        pairs = [r.user for r, name in zip(bots.recordings, bots.style, strict=True) if name == style]
        assert sorted(pairs) == sorted(f"pair {k}" for k in range(300))
    found = canonical_bots(bots, CanonicalConfig(sequence_length=128))
    assert len(found.style) + sum(sum(reasons.values()) for reasons in found.dropped.values()) == 3600
    assert len(found.canonical) == len(found.style) == len(found.rows)


@needs_shared
def test_of_sapimouse_only_users_outside_the_default_training_are_left() -> None:
    splits = load_splits(DataConfig())
    known = {*splits["train"].group, *splits["validation"].group}
    (external,) = read_users(SHARED / "humans_sapimouse.parquet", FORM, known).values()
    assert not set(external.canonical.group) & known
    assert {split_of(group) for group in external.canonical.group} <= {"train", "validation", "test", "holdout"}
    assert 1000 < len(external.canonical) < 11162
