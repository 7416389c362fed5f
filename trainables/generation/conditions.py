"""Conditions of a sample: duration, distance, path length, turning, and direction on the screen.

Beside them the width of the target, which a movement does not show: NaN where it is unknown, or none is requested.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.canonical import MINIMUM_DISTANCE_PX, Canonical
from trainables.data.config import CONDITION_NAMES, MEASURED_CONDITIONS, MINIMUM_STEPS, RATE_HZ, CanonicalConfig
from trainables.data.dataset import DataSplits
from trainables.data.representation import prefix_mask
from trainables.training.checkpoint import flatten

WIDTH_REMEDY = "an unknown target width is NaN"
ROUNDING = 1e-6  # of logarithms, between float32 and float64


@dataclass(frozen=True, eq=False)
class Conditions:
    """Conditions that samples are to match: raw values per row, and the direction of the net displacement.

    Attributes:
        raw: Columns as in `CONDITION_NAMES`; the last is NaN where no target width is requested.
        angle: Direction on the screen, radians; it decides how the sample meets the pixel grid, not its shape.
    """

    raw: Float[Tensor, "N D"]
    angle: Float[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.raw)

    def take(self, rows: slice | Int[Tensor, "M"]) -> "Conditions":
        """The conditions at `rows`, in that order."""
        return Conditions(self.raw[rows], self.angle[rows])

    def draw(self, count: int, seed: int, longest: int | None = None) -> "Conditions":
        """`count` of these (of movements with at most `longest` steps), drawn with replacement."""
        length = (self.raw[:, 0].exp() * RATE_HZ).round()
        rows = torch.arange(len(self)) if longest is None else (length <= longest).nonzero().squeeze(1)
        require(len(rows) > 0, "`seq_len >= the shortest known movement`", f"seq_len={longest}")
        return self.take(rows[torch.randint(len(rows), (count,), generator=generator(seed, "conditions"))])

    def given(self, raw: Float[Tensor, "N D"], seed: int, first: int = 0) -> "Conditions":
        """Given conditions of the samples from number `first` on, in directions drawn from these.

        Raises:
            ConfigError: another number of columns, or a target width where none of these has one.
        """
        columns = len(CONDITION_NAMES)
        law = f"`columns == {columns}` ({', '.join(CONDITION_NAMES)})"
        require(raw.shape[1] == columns, law, f"{raw.shape[1]} columns", WIDTH_REMEDY)
        given = Conditions(raw.detach().cpu().double(), self.draw(first + len(raw), seed).angle[first:])
        law = "unknown target widths for a model whose training split has none"
        require(self.tell_widths or not given.tell_widths, law, "a width", WIDTH_REMEDY)
        return given

    def frame(self, config: CanonicalConfig, group: tuple[str, ...] | None = None) -> Canonical:
        """Empty canonical movements of the requested duration, distance, direction and target width.

        Raises:
            ConfigError: see `check`.
        """
        self.check(config)
        duration_s, distance_px, _, _, width_px = self.raw.double().exp().unbind(dim=1)
        mask = frame_mask(duration_s, config)
        deltas = torch.zeros(*mask.shape, config.form.channels, dtype=torch.float64)
        group = group or ("sample",) * len(self)
        return Canonical(deltas, mask, self.angle.double(), distance_px, duration_s, group, width_px)

    @property
    def tell_widths(self) -> bool:
        """Whether any of them has a target width."""
        return not bool(self.raw[:, -1].isnan().all())

    def without_widths(self) -> "Conditions":
        """The same with every target width unknown."""
        unknown = torch.full_like(self.raw[:, -1:], math.nan)
        return replace(self, raw=torch.cat([self.raw[:, :-1], unknown], dim=1))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors for a checkpoint: finite, with a mask of the rows whose target width is known."""
        unknown = self.raw.isnan()
        return {"raw": self.raw.masked_fill(unknown, 0.0), "angle": self.angle, "width_known": ~unknown[:, -1]}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "Conditions":
        """Inverse of `tensors`."""
        raw = tensors["raw"].clone()
        raw[~tensors["width_known"], -1] = math.nan
        return cls(raw, tensors["angle"])

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
    return Conditions(canonical.condition(), canonical.angle)


def matching_conditions(real: Canonical, learnt: Conditions) -> Conditions:
    """The conditions of real movements, without target widths for a model that met none in `learnt`."""
    conditions = conditions_of(real)
    return conditions if learnt.tell_widths else conditions.without_widths()


def generator_record(splits: DataSplits) -> dict[str, Tensor]:
    """The tensors that a checkpoint carries for sampling: statistics and known conditions."""
    known = conditions_of(splits["train"])
    return {**flatten("statistics", vars(splits.statistics)), **flatten("known", known.tensors())}
