"""Conditions of a sample: duration, distance, path length, turning, and direction on the screen.

Beside them the width of the target and the source of the recording, which a movement does not show: NaN and -1 where
they are unknown, or none is requested; and whether its first and last step move, which is a habit of the source's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.canonical import MINIMUM_DISTANCE_PX, SAMPLE, Canonical
from trainables.data.config import (
    CONDITION_NAMES,
    FRAME_NAMES,
    MEASURED_CONDITIONS,
    MINIMUM_STEPS,
    RATE_HZ,
    CanonicalConfig,
)
from trainables.data.representation import prefix_mask
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.derived import derived
from trainables.data.splits.statistics import Statistics, source_index
from trainables.training.checkpoint import flatten, select

WIDTH_REMEDY = "an unknown target width is NaN"
NO_SOURCE = torch.tensor([-1])  # of every row
NO_ENDS = torch.zeros(1, 2, dtype=torch.int64)  # of every row
ROUNDING = 1e-6  # of logarithms, between float32 and float64


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions that samples are to match: raw values per row, and the direction of the net displacement.

    Attributes:
        raw: Columns as in `CONDITION_NAMES`; the last is NaN where no target width is requested.
        angle: Direction on the screen, radians; it decides how the sample meets the pixel grid, and its shape only in a
            model whose frame makes it a condition.
        source: Index of the source in `sources`; -1: unknown, and so of every row if left out.
        sources: Names of the sources.
        ends: Whether the first and the last step move: 1, -1 for a still one; 0: unknown, and so of every row if left
            out.
    """

    raw: Float[Tensor, "N D"]
    angle: Float[Tensor, "N"]
    source: Int[Tensor, "N"] = NO_SOURCE
    sources: tuple[str, ...] = ()
    ends: Int[Tensor, "N 2"] = NO_ENDS

    def __post_init__(self) -> None:
        if self.source is NO_SOURCE:
            object.__setattr__(self, "source", NO_SOURCE.expand(len(self)))
        if self.ends is NO_ENDS:
            object.__setattr__(self, "ends", NO_ENDS.expand(len(self), -1))

    def __len__(self) -> int:
        return len(self.raw)

    def take(self, rows: slice | Int[Tensor, "M"]) -> "Conditions":
        """The conditions at `rows`, in that order."""
        return Conditions(self.raw[rows], self.angle[rows], self.source[rows], self.sources, self.ends[rows])

    def of_source(self, name: str) -> "Conditions":
        """Those of one source.

        Raises:
            ConfigError: none is of it.
        """
        law = f"`source` in {{{', '.join(self.sources)}}}" if self.sources else "no `source` of a model that names none"
        require(name in self.sources, law, f"source={name}", "choose one that it was trained on, or leave it out")
        return self.take((self.source == self.sources.index(name)).nonzero().squeeze(1))

    def source_in(self, names: Sequence[str]) -> Int[Tensor, "N"]:
        """Index of each row's source in `names`; -1: unknown, or not among them."""
        return torch.cat([source_index(self.sources, names), NO_SOURCE])[self.source]

    def draw(self, count: int, seed: int, longest: int | None = None) -> "Conditions":
        """`count` of these (of movements with at most `longest` steps), drawn with replacement."""
        length = (self.raw[:, 0].exp() * RATE_HZ).round()
        rows = torch.arange(len(self)) if longest is None else (length <= longest).nonzero().squeeze(1)
        require(len(rows) > 0, "`seq_len >= the shortest known movement`", f"seq_len={longest}")
        return self.take(rows[torch.randint(len(rows), (count,), generator=generator(seed, "conditions"))])

    def given(self, raw: Float[Tensor, "N D"], seed: int, first: int = 0) -> "Conditions":
        """Given conditions of the samples from number `first` on, in directions and of sources drawn from these.

        Raises:
            ConfigError: another number of columns, or a target width where none of these has one.
        """
        columns = len(CONDITION_NAMES)
        law = f"`columns == {columns}` ({', '.join(CONDITION_NAMES)})"
        require(raw.shape[1] == columns, law, f"{raw.shape[1]} columns", WIDTH_REMEDY)
        given = replace(self.draw(first + len(raw), seed).take(slice(first, None)), raw=raw.detach().cpu().double())
        law = "unknown target widths for a model whose training split has none"
        require(self.tell_widths or not given.tell_widths, law, "a width", WIDTH_REMEDY)
        return given

    def with_drawn_ends(self, known: "Conditions", keys: Sequence[tuple[int, int]]) -> "Conditions":
        """The same with unknown ends drawn from known conditions of the row's source, of any source where it has none.

        Row i depends on its key (seed, number) and source alone.
        """
        unknown = (self.ends == 0).any(dim=1).nonzero().squeeze(1).tolist()
        if not unknown:
            return self
        ends, source = self.ends.clone(), self.source_in(known.sources).tolist()
        whole = (known.ends != 0).all(dim=1)
        pools = {index: known.ends[whole & (known.source == index)] for index in {source[row] for row in unknown}}
        for row in unknown:
            seed, number = keys[row]
            pool = pools[source[row]] if len(pools[source[row]]) else known.ends[whole]
            ends[row] = pool[torch.randint(len(pool), (), generator=generator(seed, "ends", number))]
        return replace(self, ends=ends)

    def frame(self, config: CanonicalConfig, group: tuple[str, ...] | None = None) -> Canonical:
        """Empty canonical movements of the requested duration, distance, direction, target width and source.

        Raises:
            ConfigError: see `check`.
        """
        self.check(config)
        duration_s, distance_px, _, _, width_px = self.raw.double().exp().unbind(dim=1)
        mask = frame_mask(duration_s, config)
        deltas = torch.zeros(*mask.shape, config.form.channels, dtype=torch.float64)
        names = (*self.sources, SAMPLE)
        source = tuple(names[index] for index in self.source.tolist())
        group = group or (SAMPLE,) * len(self)
        return Canonical(deltas, mask, self.angle.double(), distance_px, duration_s, group, width_px, source)

    @property
    def tell_widths(self) -> bool:
        """Whether any of them has a target width."""
        return not bool(self.raw[:, -1].isnan().all())

    def without_widths(self) -> "Conditions":
        """The same with every target width unknown."""
        unknown = torch.full_like(self.raw[:, -1:], math.nan)
        return replace(self, raw=torch.cat([self.raw[:, :-1], unknown], dim=1))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors for a checkpoint: finite, with a mask of the rows whose target width is known.

        The names of the sources stand in its record.
        """
        unknown = self.raw.isnan()
        tensors = {"raw": self.raw.masked_fill(unknown, 0.0), "angle": self.angle, "width_known": ~unknown[:, -1]}
        return {**tensors, "source": self.source.contiguous(), "ends": self.ends.contiguous()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], sources: Sequence[str] = ()) -> "Conditions":
        """Inverse of `tensors`; older checkpoints name no source, and no ends."""
        raw = tensors["raw"].clone()
        raw[~tensors["width_known"], -1] = math.nan
        source, ends = (
            tensors.get("source", NO_SOURCE.expand(len(raw))),
            tensors.get("ends", NO_ENDS.expand(len(raw), -1)),
        )
        return cls(raw, tensors["angle"], source, tuple(sources), ends)

    @classmethod
    def joined(cls, parts: "Sequence[Conditions]") -> "Conditions":
        """Several conditions with the same names of sources, one after the other."""
        assert len({part.sources for part in parts}) == 1, "indices of sources have one meaning"
        names = ("raw", "angle", "source", "ends")
        tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return cls(**tensors, sources=parts[0].sources)

    def check(self, config: CanonicalConfig) -> None:
        """Whether movements of the canonical form can have these conditions.

        Raises:
            ConfigError: no rows, another number of columns, a value that is not finite (an unknown target width is NaN
                and nothing else), or one that no such movement has.
        """
        require(len(self) >= 1, "`conditions >= 1`", "none")
        columns, expected = self.raw.shape[1], len(CONDITION_NAMES)
        law = f"`columns == {expected}` ({', '.join(CONDITION_NAMES)})"
        require(columns == expected, law, f"{columns} columns", WIDTH_REMEDY)
        measured, width_px = self.raw[:, : len(MEASURED_CONDITIONS)].double(), self.raw[:, -1].double().exp()
        require(bool(torch.isfinite(measured).all()), "`conditions` to be finite", "NaN or infinity in a condition")
        known = bool(torch.isfinite(self.angle).all())
        require(known, "a direction of every movement", "NaN or infinity", "give it, or leave it out to have it drawn")
        wrong = width_px[~(width_px.isnan() | ((width_px > 0) & (width_px < math.inf)))]
        require(
            not len(wrong),
            "`0 < target width < inf px`",
            ", ".join(f"{px:g} px" for px in wrong.tolist()[:3]),
            WIDTH_REMEDY,
        )
        least, most = measured.amin(dim=0), measured.amax(dim=0)
        shortest_s, nearest_px, straightest = least[:3].exp().tolist()
        turned, longest = float(least[3].expm1()), round(float(most[0].exp()) * RATE_HZ)
        least_s, longest_s = MINIMUM_STEPS / RATE_HZ, config.sequence_length / RATE_HZ
        require(round(shortest_s * RATE_HZ) >= MINIMUM_STEPS, f"`duration >= {least_s:.3f} s`", f"{shortest_s:.3f} s")
        far = nearest_px >= MINIMUM_DISTANCE_PX - ROUNDING
        require(far, f"`distance >= {MINIMUM_DISTANCE_PX:g} px`", f"{nearest_px:.3f} px")
        require(straightest >= 1 - ROUNDING, "`path length >= distance`", f"a path of {straightest:.3f} distances")
        require(turned >= -ROUNDING, "`turning >= 0 rad`", f"{turned:.3f} rad")
        require(
            longest <= config.sequence_length or not config.form.bounded,
            f"`duration <= {longest_s:.3f} s` (T={config.sequence_length} steps at {RATE_HZ:g} Hz)",
            f"{longest / RATE_HZ:.3f} s",
            "ask for shorter movements, or a longer seq_len up to the model's own length",
        )


def form_at(trained: CanonicalConfig, sequence_length: int) -> CanonicalConfig:
    """The canonical form of a model at another length T, of at most the trained one.

    A longer one would hold steps that the model never met: for movements that fit the trained length nothing but zeros.

    Raises:
        ConfigError: too few steps, more than the trained ones, or other than these in a form without padding.
    """
    own, got = trained.sequence_length, f"seq_len={sequence_length}"
    require(sequence_length >= MINIMUM_STEPS, f"`seq_len >= {MINIMUM_STEPS}`", got)
    free = trained.form.padded or sequence_length == own
    require(free, f"`seq_len == {own}` with {trained.representation}", got)
    law, remedy = f"`seq_len <= {own}`, the length of the model", "leave it out, or ask a model that was trained longer"
    require(sequence_length <= own, law, got, remedy)
    return replace(trained, sequence_length=sequence_length)


def frame_mask(duration_s: Float[Tensor, "N"], config: CanonicalConfig) -> Bool[Tensor, "N T"]:
    """Valid steps of movements of the requested durations: the 60 Hz length, all T in a form without padding."""
    if not config.form.padded:
        return torch.ones(len(duration_s), config.sequence_length, dtype=torch.bool)
    return prefix_mask((duration_s * RATE_HZ).round().long(), config.sequence_length)


def conditions_of(canonical: Canonical) -> Conditions:
    """The conditions that real movements were made under."""
    sources = tuple(sorted(set(canonical.source)))
    raw = derived(canonical, "condition", Canonical.condition)
    ends = derived(canonical, "ends", Canonical.ends)
    return Conditions(raw, canonical.angle, source_index(canonical.source, sources), sources, ends)


def matching_conditions(real: Canonical, learnt: Conditions) -> Conditions:
    """The conditions of real movements, without target widths for a model that met none in `learnt`."""
    conditions = conditions_of(real)
    return conditions if learnt.tell_widths else conditions.without_widths()


def generator_record(splits: DataSplits) -> dict[str, Tensor]:
    """The tensors that a checkpoint carries for sampling: statistics and known conditions."""
    known = conditions_of(splits["train"])
    return {**flatten("statistics", splits.statistics.tensors()), **flatten("known", known.tensors())}


def restored(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> tuple[Statistics, Conditions]:
    """The statistics and the known conditions of a checkpoint: inverse of `generator_record`.

    Older records name no sources, no frame, which was the chord, and no ends.

    Raises:
        ConfigError: a frame that this version does not know.
    """
    sources = record.get("sources", ())
    frame, ends = record.get("frame", FRAME_NAMES[0]), bool(record.get("ends", False))
    statistics = Statistics.of_tensors(select("statistics", tensors), sources, frame, ends)
    return statistics, Conditions.of_tensors(select("known", tensors), sources)
