"""Measurement of recordings: numbers of every movement, and the figures that follow from them.

An edge of the screen is what it is for the readers: an extreme coordinate that two movements of a session reach.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trainables.data.canonical import usable
from trainables.data.config import SPLITS, CanonicalConfig, DataConfig
from trainables.data.inspection.figures import (
    GAP_MS,
    LENGTHS,
    MovementFigures,
    SourceFigures,
    SplitFigures,
    Spread,
    UserFigures,
)
from trainables.data.readers.cleaning import EDGE_MOVEMENTS
from trainables.data.readers.recording_set import FloatArray, Recording
from trainables.data.splits.assignment import TRAINED, split_of
from trainables.data.splits.data_splits import too_short
from trainables.data.splits.parts import Kept, observe_recordings
from trainables.data.users import effective_users, largest_share

WHOLE = 1e-6  # a value this close to a whole number is one, whatever a change of unit made of it

Columns = Mapping[str, npt.NDArray[Any]]
"""Name -> a number of every movement."""


class Measurement:
    """Numbers of every movement of recordings that come in parts."""

    def __init__(self) -> None:
        self.owners: list[tuple[str, str, str]] = []  # source, user, session
        self._columns: dict[str, list[npt.NDArray[Any]]] = {}
        self._unusable: dict[int, Counter[str]] = {steps: Counter() for steps in LENGTHS}

    def add(self, recordings: Sequence[Recording]) -> None:
        """Measure some more movements."""
        self.owners += [(one.source, one.user, one.session) for one in recordings]
        rows = [_numbers(one) for one in recordings]
        for name in rows[0]:
            self._columns.setdefault(name, []).append(np.array([row[name] for row in rows]))
        movements = observe_recordings(recordings)
        for steps in LENGTHS:
            config = CanonicalConfig(sequence_length=steps)
            kept, reasons = usable(movements, config)
            self._unusable[steps].update({reason: count for reason, count in reasons.items() if count})
            is_kept = torch.zeros(len(movements), dtype=torch.bool)
            is_kept[kept] = True
            self._columns.setdefault(f"usable_{steps}", []).append(is_kept.numpy())
            self._columns.setdefault(f"long_{steps}", []).append((movements.length > config.longest).numpy())

    def figures(self) -> MovementFigures:
        """Return the figures of all movements, of which there is at least one."""
        numbers = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        source, user = (np.array([owner[at] for owner in self.owners], dtype=object) for at in (0, 1))
        kept = {name: _kept(numbers, source == name) for name in sorted(set(source))}
        steps = LENGTHS[too_short({name: counts[LENGTHS[0]] for name, counts in kept.items()}, LENGTHS[0]) != ""]
        is_usable = numbers[f"usable_{steps}"]
        rows = [(split_of(*of), *of) for of in zip(user[is_usable], source[is_usable], strict=True)]
        width_px = numbers["width_px"][~np.isnan(numbers["width_px"])]
        ends = [(float(numbers[f"low_{axis}"].min()), float(numbers[f"high_{axis}"].max())) for axis in "xy"]
        return MovementFigures(
            sources={
                name: _source(counts, user[source == name], numbers["step_ms"][source == name], _users_at(rows, name))
                for name, counts in kept.items()
            },
            sequence_length=steps,
            unusable={length: dict(reasons) for length, reasons in self._unusable.items()},
            splits={name: _split(name, [one for split, one, _ in rows if split == name]) for name in SPLITS},
            users=_users(list(user)),
            sessions=len(set(self.owners)),
            step_ms=Spread.of(numbers["step_ms"]),
            whole_ms=_share(numbers["whole_steps"], numbers["steps"]),
            whole_px=_share(numbers["whole_coordinates"], numbers["coordinates"]),
            gaps=float((numbers["longest_ms"] > GAP_MS).mean()),
            x_px=ends[0],
            y_px=ends[1],
            at_edges=_at_edges(numbers, self.owners),
            duration_s=Spread.of(numbers["duration_ms"] / 1000),
            distance_px=Spread.of(numbers["distance_px"]),
            targets=float(numbers["has_target"].mean()),
            widths=len(width_px) / len(user),
            target_width_px=Spread.of(width_px) if len(width_px) else None,
            named_by_files=len(set(user)) > 1 and all(one.rpartition("/")[2] == at for _, one, at in self.owners),
        )


def _numbers(one: Recording) -> dict[str, float | int | bool]:
    """Return the numbers of a movement; its first step, which may have been cut, says nothing of whole milliseconds."""
    step_ms, xy = np.diff(one.t_ms), np.concatenate([one.x, one.y])
    later = step_ms[1:] if len(step_ms) > 1 else step_ms
    return {
        "step_ms": float(np.median(step_ms)),
        "longest_ms": float(step_ms.max()),
        "steps": len(later),
        "whole_steps": _whole(later),
        "coordinates": len(xy),
        "whole_coordinates": _whole(xy),
        "duration_ms": float(one.t_ms[-1]),
        "distance_px": math.hypot(one.x[-1] - one.x[0], one.y[-1] - one.y[0]),
        "low_x": float(one.x.min()),
        "high_x": float(one.x.max()),
        "low_y": float(one.y.min()),
        "high_y": float(one.y.max()),
        "has_target": one.target is not None,
        "width_px": math.nan if one.target_width_px is None else one.target_width_px,
    }


def _whole(values: FloatArray) -> int:
    return int(np.count_nonzero(np.abs(values - np.rint(values)) < WHOLE))


def _share(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> float:
    return float(part.sum() / whole.sum())


def _at_edges(of_movement: Columns, owners: Sequence[tuple[str, str, str]]) -> float:
    """Return the share of movements at an extreme coordinate of their session that another of its movements reaches."""
    number = {session: at for at, session in enumerate(dict.fromkeys(owners))}
    session = np.array([number[owner] for owner in owners])
    at_edge = np.zeros(len(owners), dtype=np.bool_)
    for end, extreme, beyond in (("low", np.minimum, np.inf), ("high", np.maximum, -np.inf)):
        for axis in "xy":
            reached, edges = of_movement[f"{end}_{axis}"], np.full(len(number), beyond)
            extreme.at(edges, session, reached)
            at_end = reached == edges[session]
            at_edge |= at_end & (np.bincount(session, weights=at_end)[session] >= EDGE_MOVEMENTS)
    return float(at_edge.mean())


def _kept(of_movement: Columns, its: npt.NDArray[np.bool_]) -> dict[int, Kept]:
    """Return by T how many of some movements are usable and how many are too long."""
    counts = (
        (steps, *(int(of_movement[f"{name}_{steps}"][its].sum()) for name in ("usable", "long"))) for steps in LENGTHS
    )
    return {steps: Kept(kept, int(its.sum()), longer) for steps, kept, longer in counts}


def _users_at(rows: Sequence[tuple[str, str, str]], source: str) -> dict[str, int]:
    """Return how many users of a source each split has, of the split, user and source of each movement."""
    users = Counter(split for split, _ in {(split, user) for split, user, its in rows if its == source})
    return {split: users[split] for split in SPLITS}


def _source(
    kept: Mapping[int, Kept], users: npt.NDArray[np.object_], step_ms: FloatArray, split_users: Mapping[str, int]
) -> SourceFigures:
    return SourceFigures(len(users), len(set(users)), Spread.of(step_ms), kept, split_users)


def _users(owners: Sequence[str]) -> UserFigures:
    """Return the figures of the users of the rows."""
    sizes = Counter(owners)
    (largest, most), counts = sizes.most_common(1)[0], list(sizes.values())
    median = float(np.median(counts))
    return UserFigures(len(sizes), effective_users(owners), min(counts), median, most, largest, largest_share(owners))


def _split(name: str, users: Sequence[str]) -> SplitFigures:
    """Return the figures of a split, of the user of each of its movements."""
    sizes = Counter(users)
    most = len(users) if name == TRAINED else DataConfig().rows_per_user
    owners = [user for user, count in sizes.items() for _ in range(min(count, most))]
    return SplitFigures(len(owners), len(sizes), effective_users(owners) if owners else 0.0)
