"""Parts of a data set on their way to the splits: recordings observed and encoded, a few thousand at a time.

A recording takes some 18 kB in memory and is observed at 60 Hz with thousands of others in one pass over arrays; what
is kept of it is its canonical form, about 1 kB. So a data set of any size passes in parts, and only the names of the
movements and the hashes of what they are stay in memory.
"""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from torch import Tensor

from trainables.data.canonical import TENSORS, Movements, encode, pack, usable
from trainables.data.config import CanonicalConfig
from trainables.data.observation import Events, observe
from trainables.data.readers.recordings import Recording
from trainables.data.splits.store import mapped

MOVEMENTS = 8192  # of a part; the default data set is one


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
        folder: Holds an array per tensor of the canonical form.
        group, source: Of each usable movement.
        recording: Number of each among the recordings of the part.
        key: Hash of what each is.
        recordings: Number of recordings of the part.
        dropped: Reason -> movements that are not usable.
        kept: Source -> how many of its movements are usable.
    """

    folder: Path
    group: tuple[str, ...]
    source: tuple[str, ...]
    recording: Int[Tensor, "N"]
    key: tuple[bytes, ...]
    recordings: int
    dropped: Mapping[str, int]
    kept: Mapping[str, Kept]

    def __len__(self) -> int:
        return len(self.group)

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of the canonical form of its movements, mapped."""
        return mapped(self.folder / f"{name}.npy")


def written_parts(recordings: Sequence[Recording], config: CanonicalConfig, folder: Path) -> Iterator[Part]:
    """Write the recordings in parts of `MOVEMENTS`, on all cores where there are several, and yield the parts in order.

    Args:
        folder: Gets a folder for each part.
    """
    parts = [recordings[first : first + MOVEMENTS] for first in range(0, len(recordings), MOVEMENTS)]
    jobs = max(min(len(parts), len(os.sched_getaffinity(0))), 1)
    pool = Parallel(n_jobs=jobs, return_as="generator")
    yield from pool(delayed(write_part)(part, config, folder / str(number)) for number, part in enumerate(parts))


def write_part(recordings: Sequence[Recording], config: CanonicalConfig, folder: Path) -> Part:
    """Observe and encode recordings, and write the result into a new folder."""
    movements = observe_recordings(recordings)
    rows, unusable = usable(movements, config)
    kept = movements.take(rows)
    canonical = encode(kept, config)
    folder.mkdir(parents=True)
    for name in TENSORS:
        np.save(folder / f"{name}.npy", getattr(canonical, name).contiguous().numpy())
    too_long = movements.take((movements.length > config.longest).nonzero().squeeze(1))
    read, left, longer = (Counter(part.source) for part in (movements, kept, too_long))
    return Part(
        folder,
        kept.group,
        kept.source,
        rows,
        tuple(_keys(kept)),
        len(recordings),
        unusable,
        {source: Kept(left[source], read[source], longer[source]) for source in read},
    )


def observe_recordings(recordings: Sequence[Recording]) -> Movements:
    """All recordings through the observation model; the user is the group."""
    paths = observe(Events(r.t_ms, np.stack([r.x, r.y], axis=1)) for r in recordings)
    widths = [math.nan if r.target_width_px is None else r.target_width_px for r in recordings]
    width_px = torch.tensor(widths, dtype=torch.float64)
    return pack(paths, [r.user for r in recordings], width_px, [r.source for r in recordings])


def _keys(movements: Movements) -> list[bytes]:
    """Return a hash of what each movement is: steps, user and target width, whatever its source is called."""
    keys = []
    for row, length in enumerate(movements.length.tolist()):
        about = movements.group[row], float(movements.target_width_px[row])
        steps_px = movements.steps_px[row, :length].double().contiguous().numpy()
        keys.append(hashlib.blake2b(repr(about).encode() + steps_px.tobytes(), digest_size=8).digest())
    return keys
