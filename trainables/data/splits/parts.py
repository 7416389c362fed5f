"""Parts of a data set on their way to the splits: read, observed and encoded, a few thousand movements at a time.

A recording takes some 18 kB in memory and is observed at 60 Hz with thousands of others in one pass over arrays; what
is kept of it is its canonical form, about 1 kB. So a data set of any size passes in parts, of which each core has one
at a time, and only the names of the movements and the hashes of what they are stay in memory.
"""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from torch import Tensor

from trainables.data.canonical import TENSORS, Movements, encode, pack, usable
from trainables.data.config import PART, CanonicalConfig
from trainables.data.observation import Events, observe
from trainables.data.readers.left_out import LeftOut
from trainables.data.readers.reader import Piece, read_all
from trainables.data.readers.recording_set import Recording
from trainables.data.splits.store import mapped

GROUP_BYTES = 8 * 2**20  # that are read in one go: small files together
GROUPS = 5  # from which on the start of processes pays
PLACES = "places"  # of a movement on the screen, kept beside the canonical form


class Kept(NamedTuple):
    """Movements of a source that are usable, of those that the reader returned; how many are longer than T steps."""

    usable: int
    read: int
    too_long: int

    @property
    def share(self) -> float:
        """Share that is usable."""
        return self.usable / self.read


@dataclass(frozen=True, eq=False)
class Part:
    """The usable movements of a part, whose canonical form is in a folder, and what became of the others.

    Attributes:
        folder: Holds an array per tensor of the canonical form, and `PLACES`.
        group, source: Of each usable movement.
        key: Hash of what each is.
        dropped: Reason -> movements that are not usable.
        kept: Source -> how many of its movements are usable.
    """

    folder: Path
    group: tuple[str, ...]
    source: tuple[str, ...]
    key: tuple[bytes, ...]
    dropped: Mapping[str, int]
    kept: Mapping[str, Kept]

    def __len__(self) -> int:
        return len(self.group)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of its movements, mapped."""
        return mapped(self.folder / f"{name}.npy")


@dataclass(frozen=True, eq=False)
class Group:
    """What became of pieces that were read in one go.

    Attributes:
        parts: Their recordings, `PART` at a time.
        read, dropped, repaired: Account of the reader.
        sources, users: Of all recordings, those that are left out too.
        stored: Bytes of the files that were read.
    """

    parts: tuple[Part, ...]
    read: int
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    sources: frozenset[str]
    users: frozenset[str]
    stored: int


def written_groups(
    pieces: Iterable[Piece], left_out: LeftOut, config: CanonicalConfig, folder: Path
) -> Iterator[Group]:
    """Read pieces and write their movements, on all cores where there are many; yield the groups in their order.

    Args:
        left_out: Whose recordings are not written.
        folder: Gets a folder for each part.
    """
    errors: list[Exception] = []
    groups = _until_error(_grouped(pieces), errors)
    first = list(islice(groups, GROUPS))
    jobs = len(os.sched_getaffinity(0)) if len(first) == GROUPS else 1
    pool = Parallel(n_jobs=jobs, batch_size=1, return_as="generator")
    numbered = enumerate(chain(first, groups))
    tasks = (delayed(_attempt)(own, left_out, config, folder / str(number)) for number, own in numbered)
    for found in pool(tasks):  # to its end, for a pool that is left while it works ends with an error of its own
        if isinstance(found, Exception):
            errors.append(found)
        elif not errors:
            yield found
    for error in errors:
        raise error


def _until_error(groups: Iterator[list[Piece]], errors: list[Exception]) -> Iterator[list[Piece]]:
    """Yield groups until one cannot be divided, or another error is there; the errors are collected."""
    try:
        for group in groups:
            if errors:
                return
            yield group
    except (OSError, ValueError) as error:
        errors.append(error)


def _grouped(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield pieces that follow one another, until they have `GROUP_BYTES`."""
    group: list[Piece] = []
    for piece in pieces:
        group.append(piece)
        if sum(one.size for one in group) >= GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


def _attempt(pieces: Sequence[Piece], left_out: LeftOut, config: CanonicalConfig, folder: Path) -> Group | Exception:
    """Return `_write_group`, or the error that ended it."""
    try:
        return _write_group(pieces, left_out, config, folder)
    except (OSError, ValueError) as error:
        return error


def _write_group(pieces: Sequence[Piece], left_out: LeftOut, config: CanonicalConfig, folder: Path) -> Group:
    """Read pieces, write their movements into parts, and return what became of them."""
    every = read_all(pieces)
    found = left_out.without(every)
    parts = [found.recordings[first : first + PART] for first in range(0, len(found.recordings), PART)]
    return Group(
        tuple(write_part(part, config, folder / str(number)) for number, part in enumerate(parts)),
        found.read,
        found.dropped,
        found.repaired_events,
        frozenset(recording.source for recording in every.recordings),
        frozenset(recording.user for recording in every.recordings),
        sum(piece.stored for piece in pieces),
    )


def write_part(recordings: Sequence[Recording], config: CanonicalConfig, folder: Path) -> Part:
    """Observe and encode recordings, and write the result into a new folder."""
    movements = observe_recordings(recordings)
    rows, unusable = usable(movements, config)
    kept = movements.take(rows)
    canonical = encode(kept, config)
    folder.mkdir(parents=True)
    tensors = {name: getattr(canonical, name) for name in TENSORS} | {PLACES: _places(recordings)[rows]}
    for name, tensor in tensors.items():
        np.save(folder / f"{name}.npy", tensor.contiguous().numpy())
    too_long = movements.take((movements.length > config.longest).nonzero().squeeze(1))
    read, left, longer = (Counter(part.source) for part in (movements, kept, too_long))
    return Part(
        folder,
        kept.group,
        kept.source,
        tuple(_keys(kept)),
        unusable,
        {source: Kept(left[source], read[source], longer[source]) for source in read},
    )


def observe_recordings(recordings: Sequence[Recording]) -> Movements:
    """All recordings through the observation model; the user is the group."""
    paths = observe(Events(r.t_ms, np.stack([r.x, r.y], axis=1)) for r in recordings)
    widths = [math.nan if r.target_width_px is None else r.target_width_px for r in recordings]
    width_px = torch.tensor(widths, dtype=torch.float64)
    return pack(paths, [r.user for r in recordings], width_px, [r.source for r in recordings])


def _places(recordings: Sequence[Recording]) -> Float[Tensor, "N 4"]:
    """Return where each recording begins and ends in whole pixels, which are those of its observation: x, y, x, y."""
    ends = [(r.x[0], r.y[0], r.x[-1], r.y[-1]) for r in recordings]
    return torch.from_numpy(np.floor(np.array(ends, dtype=np.float64).reshape(-1, 4) + 0.5))


def _keys(movements: Movements) -> list[bytes]:
    """Return a hash of what each movement is: steps, user and target width, whatever its source is called."""
    keys = []
    for row, length in enumerate(movements.length.tolist()):
        about = movements.group[row], float(movements.target_width_px[row])
        steps_px = movements.steps_px[row, :length].double().contiguous().numpy()
        keys.append(hashlib.blake2b(repr(about).encode() + steps_px.tobytes(), digest_size=8).digest())
    return keys
