"""Labels with one meaning: mapped once, for all names of a data set, and the same in every batch, worker and process.

A contrastive loss compares labels of rows that are in a batch by chance. If labels were numbered per batch, the same
task would be 0 in one batch and 3 in the next. Here a map from names to numbers is made with the data set, from all of
its names in sorted order, and is never changed after; the map and its hash travel with the data and in the checkpoint.
An unknown name is an error and never class 0.

Three maps stand beside each other: the task (how far and in which direction), the embodiment (human or bot) and the
style (the origin: a user's is `human`, a bot's its own). The number of an embodiment is a class of a contrastive
loss like any other; the target of a classifier is `is_bot`.
"""

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from trainables.core.config import ConfigError, require
from trainables.data.canonical import MINIMUM_DISTANCE_PX, Canonical

KINDS = ("task", "embodiment", "style")
HUMAN, BOT = "human", "bot"
EDGES_PX = tuple(int(MINIMUM_DISTANCE_PX) * 2**octave for octave in range(9))  # 8 to 2,048; the last bin is open
DIRECTIONS = ("E", "SE", "S", "SW", "W", "NW", "N", "NE")  # as seen: y points down the screen


@dataclass(frozen=True)
class LabelMap:
    """Numbers of names: a name's place among all of them in sorted order (by code points, in any locale).

    >>> colours = LabelMap.of("hue", ["red", "blue", "red", "green"])
    >>> colours.names, colours.encode(["red", "blue"]).tolist()
    (('blue', 'green', 'red'), [2, 0])
    >>> colours.encode(["blue", "gren"])
    Traceback (most recent call last):
    trainables.core.config.ConfigError: `hue` of row 1 is not among the 3 known ones: got 'gren'; did you mean 'green'?
    """

    kind: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        require(all(self.names), f"`names of {self.kind}` that are not empty", repr(self.names))
        ordered = bool(self.names) and self.names == tuple(sorted(set(self.names)))
        require(ordered, f"`names of {self.kind}` to be sorted, each once, at least one", repr(self.names))

    @classmethod
    def of(cls, kind: str, names: Iterable[str]) -> "LabelMap":
        """The map of all names of a data set, however often and in whichever order they come."""
        return cls(kind, tuple(sorted(set(names))))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LabelMap":
        """Inverse of `to_json`.

        Raises:
            ConfigError: no such mapping, or one whose hash is another's.
        """
        keys, names = {"kind", "names", "sha256"}, content.get("names")
        whole = set(content) == keys and isinstance(names, list)
        require(whole, "a label map of kind, names (a list) and sha256", repr(dict(content)))
        found = cls(content["kind"], tuple(map(str, content["names"])))
        same = found.sha256 == content["sha256"]
        require(
            same, f"`sha256` to be that of the {found.kind} labels", f"{content['sha256']}, theirs is {found.sha256}"
        )
        return found

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sha256(self) -> str:
        """Over kind and names: equal if and only if every name has the same number."""
        return _sha256({"kind": self.kind, "names": self.names})

    def to_json(self) -> dict[str, Any]:
        """Plain values for a record: kind, names in the order of their numbers, and the hash."""
        return {"kind": self.kind, "names": list(self.names), "sha256": self.sha256}

    def encode(self, names: Sequence[str]) -> Int[Tensor, "N"]:
        """The number of each name.

        Raises:
            ConfigError: a name that the map does not hold, with its row and the nearest known one.
        """
        number = {name: index for index, name in enumerate(self.names)}
        for row, name in enumerate(names):
            if name not in number:
                raise ConfigError(self._unknown(name, row))
        return torch.tensor([number[name] for name in names], dtype=torch.int64)

    def decode(self, labels: Int[Tensor, "N"]) -> tuple[str, ...]:
        """The name of each number; inverse of `encode`.

        Raises:
            ConfigError: a number that no name has.
        """
        for label in labels.tolist():
            require(0 <= label < len(self), f"`0 <= {self.kind} label < {len(self)}`", str(label))
        return tuple(self.names[label] for label in labels.tolist())

    def _unknown(self, name: str, row: int) -> str:
        close = difflib.get_close_matches(str(name), self.names, n=1, cutoff=0.0)[0]
        known = f"`{self.kind}` of row {row} is not among the {len(self)} known ones: got {name!r}"
        return f"{known}; did you mean {close!r}?"


@dataclass(frozen=True)
class LabelMaps:
    """The three maps of a data set."""

    task: LabelMap
    embodiment: LabelMap
    style: LabelMap

    @classmethod
    def of(cls, tasks: Iterable[str], styles: Iterable[str]) -> "LabelMaps":
        """Maps of all tasks and styles of a data set, whole: its splits, users and bots together."""
        known = tuple(styles)
        kinds = (tasks, embodiment_names(known), known)
        return cls(*(LabelMap.of(kind, names) for kind, names in zip(KINDS, kinds, strict=True)))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LabelMaps":
        """Inverse of `to_json`; raises ConfigError for a map that is missing, of another kind, or altered."""
        require(set(content) == set(KINDS), f"the label maps {', '.join(KINDS)}", str(sorted(content)))
        maps = [LabelMap.from_json(content[kind]) for kind in KINDS]
        kinds = tuple(found.kind for found in maps)
        require(kinds == KINDS, f"label maps of the kinds {', '.join(KINDS)}", ", ".join(kinds))
        return cls(*maps)

    @property
    def sha256(self) -> str:
        """Over the three maps."""
        return _sha256([getattr(self, kind).sha256 for kind in KINDS])

    def to_json(self) -> dict[str, Any]:
        """Plain values for the record of a checkpoint."""
        return {kind: getattr(self, kind).to_json() for kind in KINDS}

    def label(self, tasks: Sequence[str], styles: Sequence[str]) -> "DatasetLabels":
        """The labels of rows, of which each has a task and a style.

        Raises:
            ConfigError: a task or a style that the maps do not hold, or unequal numbers of them.
        """
        require(len(tasks) == len(styles), "a task and a style for each row", f"{len(tasks)} and {len(styles)}")
        columns = (tasks, embodiment_names(styles), styles)
        encoded = (getattr(self, kind).encode(names) for kind, names in zip(KINDS, columns, strict=True))
        return DatasetLabels(self, *encoded)


@dataclass(frozen=True, eq=False)
class DatasetLabels:
    """The labels of N rows and the maps that gave them."""

    maps: LabelMaps
    task: Int[Tensor, "N"]
    embodiment: Int[Tensor, "N"]
    style: Int[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.task)

    @property
    def is_bot(self) -> Bool[Tensor, "N"]:
        """The target of a classifier."""
        names = self.maps.embodiment.names
        return self.embodiment == (names.index(BOT) if BOT in names else -1)

    @property
    def sha256(self) -> str:
        """Over the maps and the labels of all rows in their order."""
        return _sha256([self.maps.sha256, *(getattr(self, kind).tolist() for kind in KINDS)])

    def take(self, rows: Int[Tensor, "M"]) -> "DatasetLabels":
        """The labels of `rows`, in that order."""
        return DatasetLabels(self.maps, *(getattr(self, kind)[rows] for kind in KINDS))

    def to_json(self) -> dict[str, Any]:
        """Return the record of the labels: the maps, the number of rows, and the hash of all."""
        return {"maps": self.maps.to_json(), "rows": len(self), "sha256": self.sha256}


def task_names(canonical: Canonical) -> tuple[str, ...]:
    """The task of each movement: the octave of its distance and the eighth of the circle that it points into.

    No source of recordings names a task of its own, so that this one stands for all of them. Sectors are centred on
    their direction. A bin holds its lower edge; a net displacement in whole pixels never lies between two sectors,
    since tan(22.5°) is irrational.

    Raises:
        ConfigError: a distance below the first edge, or a value that is not finite.
    """
    distance_px, angle = canonical.distance_px, canonical.angle
    for name, values in (("distance_px", distance_px), ("angle", angle)):
        require(bool(values.isfinite().all()), f"finite `{name}` of each movement", "NaN or infinity")
    octave = torch.bucketize(distance_px, torch.tensor(EDGES_PX, dtype=distance_px.dtype), right=True) - 1
    require(bool((octave >= 0).all()), f"`distance_px >= {EDGES_PX[0]}`", f"{float(distance_px.min())}")
    sector = (angle / (math.pi / 4)).round().long() % len(DIRECTIONS)
    return tuple(_task(o, DIRECTIONS[s]) for o, s in zip(octave.tolist(), sector.tolist(), strict=True))


def _task(octave: int, direction: str) -> str:
    low = EDGES_PX[octave]
    return f"{low:04d}-{2 * low:04d} px {direction}" if low != EDGES_PX[-1] else f"{low:04d}+ px {direction}"


def every_task() -> tuple[str, ...]:
    """Return every name that `task_names` can give: a generator may end in a bin in which no recording ends."""
    return tuple(_task(octave, direction) for octave in range(len(EDGES_PX)) for direction in DIRECTIONS)


def embodiment_names(styles: Iterable[str]) -> tuple[str, ...]:
    """Human for the style `human`, bot for every other."""
    return tuple(HUMAN if style == HUMAN else BOT for style in styles)


def _sha256(value: Any) -> str:
    """Over canonical JSON: sorted keys, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
