"""Split recordings into the four splits of a data set, and a split into batches.

A split is decided by a hash of the group (the user, else the recording session), so that no user stands in two splits,
whatever the order or the number of the recordings. Sources whose groups may share a user are trained on only. In
the evaluated splits a user has at most `rows_per_user` movements. Statistics come from the training split alone.

With `fold` there are two splits: the users of one of K folds (`trainables.data.folds`) are evaluated, those of the
others are trained on, and those of the holdout split are left out.
"""

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from trainables.core.config import ConfigError, require
from trainables.data.canonical import TENSORS, Canonical, Movements, encode, pack, usable
from trainables.data.companding import compand, expand
from trainables.data.config import CONDITION_WIDTH, FOLD_SPLITS, MEASURED_CONDITIONS, SPLITS, DataConfig, Fold
from trainables.data.folds import folds_of_users
from trainables.data.observation import Events, observe
from trainables.data.readers.recordings import Recording, read_data
from trainables.data.sources import TRAINED_ON_ONLY
from trainables.data.users import capped, effective_users

SHARES = (0.36, 0.32, 0.16, 0.16)  # of the hash range; the 60 named users of the default data fall 20 / 20 / 11 / 9
ENOUGH, LONGER = 0.7, 128  # share of a source that T is to keep, and the T that keeps it of nearly every source
LONGER_REMEDY = f"set data.canonical.sequence_length={LONGER}"
BUCKET = 8.0  # steps; the network's internal length is a multiple of it
# Chosen among 20,000 by the sizes of the default splits alone: of those with 20 named users in training and validation,
# 15 effective users in validation and 7.5 in test and holdout, it has the most training movements of named users.
SPLIT_SALT = "split-11375"
TRAINED, HELD_OUT, RESERVED = "train", "validation", "holdout"
NOT_IN_FOLDS = "of users of the holdout split, whom folds leave out"


@dataclass(frozen=True, eq=False)
class Statistics:
    """Standardisation of sequences and conditions with the training split's statistics.

    A step is modelled in pixels, companded: z = (compand(d) - mean) / std per channel over valid steps.

    Attributes:
        scale_px: Of the companding.
        sources: Names of the sources, one column of a network's condition each; none where there is only one source.
    """

    mean: Float[Tensor, "C"]
    std: Float[Tensor, "C"]
    condition_mean: Float[Tensor, "D"]
    condition_std: Float[Tensor, "D"]
    scale_px: Float[Tensor, ""]
    sources: tuple[str, ...] = ()

    @property
    def condition_width(self) -> int:
        """Width of a network's condition."""
        return CONDITION_WIDTH + len(self.sources)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors for a checkpoint, whose record names the sources."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], sources: Iterable[str] = ()) -> "Statistics":
        """Inverse of `tensors`.

        Args:
            sources: Names of the sources of the training split.

        Raises:
            ConfigError: a tensor is missing, or one too many.
        """
        names = {field.name for field in fields(cls)} - {"sources"}
        require(tensors.keys() == names, f"statistics {', '.join(sorted(names))}", ", ".join(sorted(tensors)))
        return cls(
            tensors["mean"],
            tensors["std"],
            tensors["condition_mean"],
            tensors["condition_std"],
            tensors["scale_px"],
            source_columns(sources),
        )

    def compress(self, steps_px: Float[Tensor, "N T C"]) -> Float[Tensor, "N T C"]:
        """Standardised companded steps, from pixels, in float64."""
        mean, std, scale_px = (part.to(steps_px.device) for part in (self.mean, self.std, self.scale_px))
        return (compand(steps_px.double(), scale_px) - mean) / std

    def expand(self, z: Float[Tensor, "N T C"]) -> Float[Tensor, "N T C"]:
        """Steps in pixels, in float64; inverse of `compress`."""
        mean, std, scale_px = (part.to(z.device) for part in (self.mean, self.std, self.scale_px))
        return expand(z.double() * std + mean, scale_px)

    def normalise(self, canonical: Canonical) -> Float[Tensor, "N T C"]:
        """Standardised companded steps in float32, zero under the mask."""
        return (self.compress(canonical.steps_px()) * canonical.mask[..., None]).float()

    def denormalise(self, z: Float[Tensor, "N T C"], frame: Canonical) -> Float[Tensor, "N T C"]:
        """Canonical deltas in float64 at the distances of `frame`; inverse of `normalise`."""
        return frame.with_steps_px(self.expand(z)).deltas

    def normalise_condition(self, condition: Float[Tensor, "N D"], source: Int[Tensor, "N"]) -> Float[Tensor, "N E"]:
        """A network's condition in float32, `condition_width` columns: the raw ones standardised, and 1 or 0.

        1 where the target width is known; where it is not (NaN) both of its columns are 0. Then a column per source,
        which a linear layer turns into an embedding: 1 in that of the row's source, all 0 where it is unknown.

        Args:
            source: Index in `sources`; -1: unknown.
        """
        standardised = (condition - self.condition_mean) / self.condition_std
        known = ~condition[:, -1:].isnan()
        width = torch.where(known, standardised[:, -1:], 0.0)
        its_source = source[:, None] == torch.arange(len(self.sources))
        return torch.cat([standardised[:, :-1], width, known, its_source], dim=1).float()


class Sequences(NamedTuple):
    """Standardised sequences and the mask of their valid steps."""

    z: Float[Tensor, "B T C"]
    mask: Bool[Tensor, "B T"]


class Batch(NamedTuple):
    """Sequences and the conditions they were made under. There is no weight."""

    sequences: Sequences
    condition: Float[Tensor, "B D"]


class SequenceDataset(Dataset[Batch]):
    """Sequences with their conditions in memory, standardised."""

    def __init__(self, canonical: Canonical, statistics: Statistics) -> None:
        self.sequences = Sequences(statistics.normalise(canonical), canonical.mask)
        source = source_index(canonical.source, statistics.sources)
        self.condition = statistics.normalise_condition(canonical.condition(), source)

    def __len__(self) -> int:
        return len(self.condition)

    def __getitem__(self, rows: int | Int[Tensor, "B"]) -> Batch:
        return Batch(Sequences(self.sequences.z[rows], self.sequences.mask[rows]), self.condition[rows])

    def without_sources(self, rows: Bool[Tensor, "N"]) -> "SequenceDataset":
        """The same sequences under the same conditions, with the source of some rows unknown."""
        other = copy(self)
        other.condition = self.condition.clone()
        other.condition[rows, CONDITION_WIDTH:] = 0.0
        return other


def source_index(names: Sequence[str], among: Sequence[str]) -> Int[Tensor, "N"]:
    """Index of each name, -1 where it is not among them."""
    place = {name: number for number, name in enumerate(among)}
    return torch.tensor([place.get(name, -1) for name in names], dtype=torch.int64)


def source_columns(names: Iterable[str]) -> tuple[str, ...]:
    """The different names in order, of which a network's condition has a column each; none where there is only one."""
    different = sorted(set(names))
    return tuple(different) if len(different) > 1 else ()


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
class DataSplits:
    """The four splits of a data set, or the two of a fold, their statistics, and the account of what was left out.

    Attributes:
        dropped: Reason -> movements left out, over reading and canonicalisation.
        repaired: Reason -> raw events left out by the reader.
        capped: Evaluated split -> usable movements left out of it since their user has more than `rows_per_user`.
        kept: Source -> how many of its movements are usable.
        recordings: Split -> row number of each of its movements among the recordings that were read.
        sha256: Over configuration, values, groups and, where there are several, sources: equal if and only if the
            training data are.
    """

    splits: Mapping[str, Canonical]
    statistics: Statistics
    read: int
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    capped: Mapping[str, int]
    kept: Mapping[str, Kept]
    recordings: Mapping[str, Int[Tensor, "N"]]
    sha256: str

    def __getitem__(self, split: str) -> Canonical:
        known = ", ".join(self.splits)
        require(split in self.splits, f"`split` in {{{known}}}", f"split={split}", "a fold of users has no other")
        return self.splits[split]

    def table(self) -> str:
        """Movements and users of the splits, by source where there are several, and what was left out and why.

        Aligned for a terminal.
        """
        rows = [("movements read", self.read)]
        rows += [(f"  dropped: {reason}", n) for reason, n in self.dropped.items() if n]
        for name, split in self.splits.items():
            rows += [(f"  {name} ({_users(split.group)})", len(split))]
            rows += [(f"    {source} ({_users(owners)})", len(owners)) for source, owners in self._by_source(split)]
            rows += [("    not of them: over the most of a user", n) for n in [self.capped.get(name, 0)] if n]
        for source, kept in self.kept.items():
            rows += [(f"  usable of the {kept.read:,} of {source} ({kept.share:.0%})", kept.usable)]
        rows += [(f"  raw events left out: {reason}", n) for reason, n in self.repaired.items() if n]
        width = max(len(label) for label, _ in rows)
        lines = [f"{label:<{width}}  {count:>7,}" for label, count in rows]
        return "\n".join([*lines, *([f"{self.too_short}; {LONGER_REMEDY}"] if self.too_short else [])])

    @property
    def too_short(self) -> str:
        """What T keeps of the sources that a longer one would keep more of; empty where there is none."""
        steps = self.splits["train"].mask.shape[1]
        little = [source for source, kept in self.kept.items() if kept.share < ENOUGH and kept.too_long]
        if not little or steps >= LONGER:
            return ""
        shares = ", ".join(f"{self.kept[source].share:.0%} of {source}" for source in little)
        return f"T={steps} steps keep {shares}"

    def _by_source(self, split: Canonical) -> Iterator[tuple[str, list[str]]]:
        """Yield each source with the users of its rows in a split, where the data have several sources."""
        for source in sorted(set(split.source)) if len(self.kept) > 1 else ():
            yield source, [user for user, its in zip(split.group, split.source, strict=True) if its == source]


def _users(owners: Sequence[str]) -> str:
    users = len(set(owners))
    return f"{users} user{'s' * (users != 1)}, {effective_users(owners):.1f} effective"


def split_of(group: str, source: str = "") -> str:
    """The split that a group belongs to, from the hash of its name alone; that of training where only that is allowed.

    Args:
        source: Of the group's recordings; one in `TRAINED_ON_ONLY` is in the training split.
    """
    if source in TRAINED_ON_ONLY:
        return SPLITS[0]
    head = hashlib.blake2b(f"{SPLIT_SALT}/{group}".encode(), digest_size=8).digest()
    position, edge = int.from_bytes(head, "big") / 2**64, 0.0
    for split, share in zip(SPLITS[:-1], SHARES[:-1], strict=True):
        edge += share
        if position < edge:
            return split
    return SPLITS[-1]


def observe_recordings(recordings: Sequence[Recording]) -> Movements:
    """All recordings through the observation model; the user is the group."""
    paths = observe(Events(r.t_ms, np.stack([r.x, r.y], axis=1)) for r in recordings)
    widths = [math.nan if r.target_width_px is None else r.target_width_px for r in recordings]
    width_px = torch.tensor(widths, dtype=torch.float64)
    return pack(paths, [r.user for r in recordings], width_px, [r.source for r in recordings])


def fit_statistics(canonical: Canonical, scale_px: float) -> Statistics:
    """Mean and standard deviation per channel over valid steps, and per condition column over the rows that know it.

    A target width need not be known, nor vary: the mean is 0 if no row knows it, the standard deviation 1 if all who
    know it agree.

    Raises:
        ConfigError: fewer than two movements, or a measured column that does not vary.
    """
    require(len(canonical) >= 2, "`movements in the training split >= 2`", str(len(canonical)), "read more recordings")
    steps = compand(canonical.steps_px(), scale_px)[canonical.mask]
    condition = canonical.condition()
    channels = ("dx", "dy", "ticks")[: steps.shape[1]]
    for names, values in ((channels, steps), (MEASURED_CONDITIONS, condition[:, :-1])):
        for name, std in zip(names, values.std(dim=0).tolist(), strict=True):
            require(std > 0, f"`standard deviation of {name} > 0` in the training split", str(std))
    mean, std = (torch.stack(parts) for parts in zip(*map(_moments, condition.unbind(dim=1)), strict=True))
    scale = torch.tensor(scale_px, dtype=torch.float64)
    return Statistics(steps.mean(dim=0), steps.std(dim=0), mean, std, scale, source_columns(canonical.source))


def _moments(column: Float[Tensor, "N"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean and standard deviation over the values that are no NaN: 0 if there is none, 1 if they are all equal."""
    known = column[~column.isnan()]
    mean = known.mean() if len(known) else column.new_zeros(())
    return mean, known.std() if len(known.unique()) > 1 else column.new_ones(())


@functools.lru_cache(maxsize=2)
def load_splits(config: DataConfig) -> DataSplits:
    """Read, observe, split and canonicalise once per process.

    Raises:
        RecordingError: the recordings cannot be read.
        ConfigError: a split is empty after dropping, an evaluated one has no user of an evaluated source, a user stands
            in two splits, another than the training split alone has target widths, or a source has fewer users than
            there are folds.
    """
    observed = (_observed_once if config.fold else _observed)(replace(config, fold=None))
    movements = observed.movements
    rows, unusable = usable(movements, config.canonical)
    splits, chosen, left_out = _split(movements.take(rows), config)
    reserved = len(rows) - sum(map(len, chosen.values())) - sum(left_out.values())
    dropped = Counter(observed.dropped) + Counter(unusable) + Counter({NOT_IN_FOLDS: reserved})
    _require_widths_to_learn_from(splits)
    longest = config.canonical.longest
    too_long = movements.take((movements.length > longest).nonzero().squeeze(1))
    read, kept, longer = (Counter(part.source) for part in (movements, movements.take(rows), too_long))
    return DataSplits(
        splits,
        fit_statistics(splits["train"], config.companding_px),
        observed.read,
        dropped,
        observed.repaired,
        left_out,
        {source: Kept(kept[source], read[source], longer[source]) for source in sorted(read)},
        {name: rows[those] for name, those in chosen.items()},
        _hash(config, splits),
    )


class _Observed(NamedTuple):
    """Movements of all recordings, and the reader's account of them."""

    movements: Movements
    read: int
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]


def _observed(config: DataConfig) -> _Observed:
    recordings = read_data(config)
    movements = observe_recordings(recordings.recordings)
    return _Observed(movements, recordings.read, recordings.dropped, recordings.repaired_events)


_observed_once = functools.lru_cache(maxsize=1)(_observed)  # for folds, which share their recordings


def _split(
    movements: Movements, config: DataConfig
) -> tuple[dict[str, Canonical], dict[str, Int[Tensor, "_"]], dict[str, int]]:
    """Return the splits, the rows of each, and how many movements the cap left out of each evaluated one."""
    split = _splits_of_rows(movements, config)
    splits, chosen, left_out = {}, {}, {}
    for name in SPLITS if config.fold is None else FOLD_SPLITS:
        rows = torch.tensor([i for i, p in enumerate(split) if p == name], dtype=torch.int64)
        if not len(rows):
            raise ConfigError(
                f"expected `users of the {name} split >= 1`, but got 0 of {len(set(movements.group))} with "
                f"{len(movements)} usable movements; read recordings of more users"
            )
        if name != TRAINED:
            candidates = movements.take(rows)
            within = capped(candidates.group, _keys(candidates), config.rows_per_user)
            rows, left_out[name] = rows[within], len(rows) - len(within)
        chosen[name] = rows
        splits[name] = encode(movements.take(rows), config.canonical)
    _require_users_of_each_source(splits, set(movements.source) - TRAINED_ON_ONLY.keys())
    _require_whole_users(splits)
    return splits, chosen, left_out


def _splits_of_rows(movements: Movements, config: DataConfig) -> list[str]:
    """Return the split of each movement: by hash, or whether its user is in the fold."""
    split = [split_of(*names) for names in zip(movements.group, movements.source, strict=True)]
    if config.fold is None:
        return split
    fold, owners = Fold.parse(config.fold), list(zip(movements.group, movements.source, split, strict=True))
    evaluated = [(user, source) for user, source, name in owners if source not in TRAINED_ON_ONLY and name != RESERVED]
    users, sources = zip(*evaluated, strict=True) if evaluated else ((), ())
    fold_of = folds_of_users(users, sources, config.rows_per_user, fold.count)

    def placed(user: str, source: str, name: str) -> str:
        if source in TRAINED_ON_ONLY or name == RESERVED:
            return name
        return HELD_OUT if fold_of[user] == fold.number else TRAINED

    return [placed(*of_row) for of_row in owners]


def _keys(movements: Movements) -> list[bytes]:
    """Return a hash of what each movement is: steps, user and target width, whatever its source is called."""
    keys = []
    for row, length in enumerate(movements.length.tolist()):
        about = movements.group[row], float(movements.target_width_px[row])
        steps_px = movements.steps_px[row, :length].double().contiguous().numpy()
        keys.append(hashlib.blake2b(repr(about).encode() + steps_px.tobytes(), digest_size=8).digest())
    return keys


def _require_users_of_each_source(splits: Mapping[str, Canonical], sources: Collection[str]) -> None:
    """Require a user of each evaluated source in each evaluated split: a figure would be silent about the source."""
    for name, source in product(_evaluated(splits), sorted(sources)):
        require(
            source in splits[name].source,
            f"`users of {source} in the {name} split >= 1`",
            "0",
            "read recordings of more of its users, or leave the source out",
        )


def _evaluated(splits: Mapping[str, Canonical]) -> list[str]:
    return [name for name in splits if name != TRAINED]


def _require_whole_users(splits: Mapping[str, Canonical]) -> None:
    """Require each user in one split: with recordings of a source that is trained on only one may stand in two."""
    training = set(splits[TRAINED].group)
    for name in _evaluated(splits):
        both = sorted(training & set(splits[name].group))
        law = f"users of the {name} split who are not trained on"
        require(not both, law, ", ".join(both[:3]), f"name the users of {', '.join(TRAINED_ON_ONLY)} apart from others")


def _require_widths_to_learn_from(splits: Mapping[str, Canonical]) -> None:
    """Require target widths in the training split where another has some: a network cannot use an unseen condition."""
    known = [name for name in splits if not bool(splits[name].target_width_px.isnan().all())]
    require(
        not known or "train" in known,
        "target widths in the training split where another has some",
        f"none there, but some in {', '.join(known)}",
        "read recordings of more users, or leave the widths out",
    )


def _hash(config: DataConfig, splits: Mapping[str, Canonical]) -> str:
    head = hashlib.sha256(repr((config.canonical, config.rows_per_user)).encode())
    several = len({source for split in splits.values() for source in split.source}) > 1
    for name, split in splits.items():
        head.update("\n".join([name, *split.group, *(split.source if several else ())]).encode())
        for tensor in TENSORS:
            head.update(getattr(split, tensor).contiguous().numpy().tobytes())
    return head.hexdigest()


def batches(
    fresh: Callable[[torch.Generator], SequenceDataset], batch_size: int, order: torch.Generator
) -> Iterator[Batch]:
    """Batches without end, pass after pass; each pass calls `fresh` for its data set, which may be augmented anew."""
    while True:
        yield from one_pass(fresh(order), batch_size, order)


def one_pass(dataset: SequenceDataset, batch_size: int, order: torch.Generator) -> Iterator[Batch]:
    """Every row once, in batches of like length; rows that fill no batch are left out by chance. All order is random.

    Rows are sorted by their length plus a random share of `BUCKET`, so that no batch is the same in two passes, and
    trimmed to the longest row: the padding, a third of the default data, is not computed.

    Raises:
        ConfigError: fewer movements than a batch.
    """
    for rows in like_lengths(dataset.sequences.mask.sum(dim=1), batch_size, order):
        yield trimmed(dataset[rows])


def like_lengths(length: Int[Tensor, "N"], batch_size: int, order: torch.Generator) -> Iterator[Int[Tensor, "B"]]:
    """The rows of the batches of one pass over movements of these lengths, see `one_pass`."""
    require(len(length) >= batch_size, "`batch_size <= training movements`", f"{batch_size} > {len(length)}")
    shuffled = torch.randperm(len(length), generator=order)
    kept = shuffled[: len(length) // batch_size * batch_size]
    chunks = kept[(length[kept] + BUCKET * torch.rand(len(kept), generator=order)).argsort()].split(batch_size)
    for number in torch.randperm(len(chunks), generator=order).tolist():
        chunk = chunks[number]
        yield chunk[torch.randperm(len(chunk), generator=order)]


def shared(batch: Batch, index: int, count: int, device: torch.device) -> Batch:
    """Rows index, index + count, ... of a batch, on a device."""
    rows, (z, mask) = slice(index, None, count), batch.sequences
    return Batch(Sequences(z[rows].to(device), mask[rows].to(device)), batch.condition[rows].to(device))


def trimmed(batch: Batch) -> Batch:
    """The same batch without the steps that are padding in every row; masks are prefixes."""
    (z, mask), condition = batch
    longest = int(mask.sum(dim=1).max())
    return Batch(Sequences(z[:, :longest], mask[:, :longest]), condition)
