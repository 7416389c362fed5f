"""One observation model and one canonical form, for humans, bots and samples alike.

A movement reaches every model and every metric by the same chain, step for step:

    recording --observe--> whole pixels at 60 Hz --encode--> canonical deltas of unit net displacement along +x
    sample --decode--> whole-pixel steps at the requested distance, direction and duration --encode--> the same form

`trainables.data.observation.observe` takes the recorder out of a movement: polling rate, sub-pixel values and the grid
of its time stamps, so that none of them can give a generator (or a bot) away. Canonical deltas sum to (1, 0); distance,
direction and duration, which are removed, stay beside them: the chain is invertible up to the rounding to pixels.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.data.config import MINIMUM_STEPS, RATE_HZ, CanonicalConfig
from trainables.data.representation import REPRESENTATIONS, prefix_mask

TENSORS = ("deltas", "mask", "angle", "distance_px", "duration_s", "target_width_px")
UNKNOWN_PX = torch.tensor(math.nan, dtype=torch.float64)  # a target width, of every row
SAMPLE = "sample"  # the source of a movement that was not recorded and matches no recording
STILL_PX = 0.5  # a step up to this length is still: recorded ones are whole pixels, others are rounded to them
MINIMUM_DISTANCE_PX = 8.0  # below, whole pixels carry little information about the shape of a movement


@dataclass(frozen=True, eq=False)
class Movements:
    """N movements after the observation model, zero after their last step.

    Attributes:
        steps_px: Displacement per step of `1 / RATE_HZ` seconds in whole pixels.
        length: Number of steps of each movement.
        group: User of each movement; never in two splits.
        target_width_px: Of what was aimed at, NaN where unknown.
        source: Who recorded each movement, or the one that it matches; `SAMPLE` of every row if left out.
    """

    steps_px: Float[Tensor, "N S 2"]
    length: Int[Tensor, "N"]
    group: tuple[str, ...]
    target_width_px: Float[Tensor, "N"] = UNKNOWN_PX
    source: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "target_width_px", _of_each_row(self.target_width_px, len(self)))
        object.__setattr__(self, "source", self.source or (SAMPLE,) * len(self))

    def __len__(self) -> int:
        return len(self.length)

    def take(self, rows: Int[Tensor, "M"]) -> "Movements":
        """The movements at `rows`, in that order."""
        group, source = _names_at(rows, self.group, self.source)
        return Movements(self.steps_px[rows], self.length[rows], group, self.target_width_px[rows], source)


@dataclass(frozen=True, eq=False)
class Canonical:
    """N movements in canonical form.

    Attributes:
        deltas: Displacement per step, in units of the distance; the valid steps of a movement sum to (1, 0). A third
            channel, if there is one, is the step's time in ticks of `1 / RATE_HZ` seconds.
        mask: True at valid steps, a prefix of each row.
        angle: Direction of the net displacement on the screen, radians.
        distance_px: Length of the net displacement.
        duration_s: Time from first to last point.
        group: User of each movement.
        target_width_px: Of what was aimed at, NaN where unknown.
        source: As in `Movements`.
    """

    deltas: Float[Tensor, "N T C"]
    mask: Bool[Tensor, "N T"]
    angle: Float[Tensor, "N"]
    distance_px: Float[Tensor, "N"]
    duration_s: Float[Tensor, "N"]
    group: tuple[str, ...]
    target_width_px: Float[Tensor, "N"] = UNKNOWN_PX
    source: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "target_width_px", _of_each_row(self.target_width_px, len(self)))
        object.__setattr__(self, "source", self.source or (SAMPLE,) * len(self))

    def __len__(self) -> int:
        return len(self.mask)

    def condition(self) -> Float[Tensor, "N D"]:
        """The raw condition vector of each movement, columns as in `CONDITION_NAMES`, NaN where a width is unknown."""
        return torch.cat([self.measured_condition(), self.target_width_px.log()[:, None]], dim=1)

    def measured_condition(self) -> Float[Tensor, "N M"]:
        """Return the measured condition of each movement, columns as in `MEASURED_CONDITIONS`; natural logarithms.

        Duration, distance, length of the path over the distance, and the sum of all changes of direction in radians.
        """
        steps = self.deltas[..., :2]
        path_ratio, turned = steps.norm(dim=-1).sum(dim=1), turning(steps)
        return torch.stack([self.duration_s.log(), self.distance_px.log(), path_ratio.log(), turned.log1p()], dim=1)

    def ends(self) -> Int[Tensor, "N 2"]:
        """Return whether the first and the last step of each movement move: 1, or -1 for a still one."""
        moving = self.steps_px()[..., :2].norm(dim=-1) > STILL_PX
        last = (self.mask.sum(dim=1) - 1).clamp(min=0)[:, None]
        return torch.where(torch.cat([moving[:, :1], moving.gather(1, last)], dim=1), 1, -1)

    def steps_px(self) -> Float[Tensor, "N T C"]:
        """Displacements in pixels; a channel of time is left as it is."""
        return self.deltas * self._unit_px()

    def with_steps_px(self, steps_px: Float[Tensor, "N T C"]) -> "Canonical":
        """The same movements with other displacements, given in pixels; inverse of `steps_px`."""
        return replace(self, deltas=steps_px / self._unit_px() * self.mask[..., None])

    def _unit_px(self) -> Float[Tensor, "N 1 C"]:
        unit = torch.ones(len(self), 1, self.deltas.shape[2], dtype=torch.float64)
        unit[..., :2] = self.distance_px[:, None, None]
        return unit

    def take(self, rows: Int[Tensor, "M"]) -> "Canonical":
        """The movements at `rows`, in that order."""
        group, source = _names_at(rows, self.group, self.source)
        return Canonical(**{k: getattr(self, k)[rows] for k in TENSORS}, group=group, source=source)


def _of_each_row(width_px: Tensor, count: int) -> Float[Tensor, "N"]:
    """The widths as they are; `UNKNOWN_PX` once per row."""
    return width_px.expand(count) if width_px is UNKNOWN_PX else width_px


def _names_at(rows: Int[Tensor, "M"], *columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    numbers = rows.tolist()
    return (tuple(names[i] for i in numbers) for names in columns)


def pack(
    paths: Sequence[npt.NDArray[np.float64]],
    group: Sequence[str],
    target_width_px: Float[Tensor, "N"] = UNKNOWN_PX,
    source: Sequence[str] = (),
) -> Movements:
    """Observed position paths, each [S_i + 1, 2], as one padded set of steps."""
    length = torch.tensor([len(path) - 1 for path in paths], dtype=torch.int64)
    steps = torch.zeros(len(paths), int(length.max()) if len(paths) else 0, 2, dtype=torch.float64)
    for row, path in enumerate(paths):
        steps[row, : len(path) - 1] = torch.from_numpy(np.diff(path, axis=0))
    return Movements(steps, length, tuple(group), _of_each_row(target_width_px, len(paths)), tuple(source))


def rotate(vectors: Float[Tensor, "N S 2"], angle: Float[Tensor, "N"]) -> Float[Tensor, "N S 2"]:
    """Rotate row i of `vectors` by `angle[i]` radians, counter-clockwise; `rotate(rotate(v, a), -a)` is `v`."""
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y = vectors.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def turning(steps: Float[Tensor, "N S 2"]) -> Float[Tensor, "N"]:
    """Sum of |change of direction| from each moving step to the next one, in radians; still steps are passed over."""
    moves = (steps != 0).any(dim=-1)
    order = (~moves).to(torch.int8).argsort(dim=1, stable=True)
    x, y = steps.gather(1, order[..., None].expand_as(steps)).unbind(-1)
    change = torch.atan2(y, x).diff(dim=1).abs()
    pair = prefix_mask(moves.sum(dim=1) - 1, change.shape[1])
    return (torch.minimum(change, 2 * math.pi - change) * pair).sum(dim=1)


def usable(movements: Movements, config: CanonicalConfig) -> tuple[Int[Tensor, "M"], Mapping[str, int]]:
    """Rows that the canonical form can hold, and how many of the others fall under which law."""
    longest = config.longest
    distance = movements.steps_px.sum(dim=1).norm(dim=-1)
    reasons = {
        "steps that are not finite": ~distance.isfinite(),
        f"fewer than {MINIMUM_STEPS} steps at {RATE_HZ:g} Hz": movements.length < MINIMUM_STEPS,
        f"longer than T={config.sequence_length} steps at {RATE_HZ:g} Hz": movements.length > longest,
        f"net displacement under {MINIMUM_DISTANCE_PX:g} px": distance < MINIMUM_DISTANCE_PX,
    }
    kept = torch.ones(len(movements), dtype=torch.bool)
    dropped: Counter[str] = Counter()
    for reason, broken in reasons.items():
        dropped[reason] = int((broken & kept).sum())
        kept &= ~broken
    return kept.nonzero().squeeze(1), dropped


def encode(movements: Movements, config: CanonicalConfig) -> Canonical:
    """Canonical form of movements that are all `usable`: rotate, divide by the distance, keep what was removed."""
    sequence, mask = REPRESENTATIONS[config.representation].encode(
        movements.steps_px, movements.length, config.sequence_length
    )
    net = movements.steps_px.sum(dim=1)
    distance, angle = net.norm(dim=-1), torch.atan2(net[:, 1], net[:, 0])
    duration_s, width_px = movements.length / RATE_HZ, movements.target_width_px
    group, source = movements.group, movements.source
    empty = Canonical(sequence, mask, angle, distance, duration_s, group, width_px, source)
    return empty.with_steps_px(turned(sequence, -angle))


def canonical_within(movements: Movements, frame: Canonical, config: CanonicalConfig) -> Canonical:
    """Canonical form of movements in the distances and directions of `frame`; `decode` gives them back, to the pixel.

    `encode` takes the net displacement of the whole pixels themselves, which is that of `frame` to half a pixel alone.
    """
    sequence, mask = REPRESENTATIONS[config.representation].encode(
        movements.steps_px, movements.length, frame.mask.shape[1]
    )
    within = replace(frame, deltas=sequence, mask=mask)
    return within.with_steps_px(turned(sequence, -frame.angle))


def decode(canonical: Canonical, config: CanonicalConfig) -> Movements:
    """Back to the screen: to the requested distance, direction and duration, each 60 Hz step in whole pixels."""
    length = (canonical.duration_s * RATE_HZ).round().long()
    placed = turned(canonical.steps_px().double(), canonical.angle)
    steps = REPRESENTATIONS[config.representation].decode(placed, canonical.mask, length)
    return Movements(steps, length, canonical.group, canonical.target_width_px, canonical.source)


def turned(sequence: Float[Tensor, "N T C"], angle: Float[Tensor, "N"]) -> Float[Tensor, "N T C"]:
    """Rotate the displacements of row i by `angle[i]` radians; a channel of time is left as it is."""
    return torch.cat([rotate(sequence[..., :2], angle), sequence[..., 2:]], dim=-1)


def reobserve(canonical: Canonical, config: CanonicalConfig) -> tuple[Canonical, Int[Tensor, "M"]]:
    """Take samples through the chain that recordings went through; also the rows that survived `usable`.

    Whatever form a model has, the result has the observation's own, 60 Hz steps, from which features are taken.
    """
    movements = decode(canonical, config)
    if config.representation != "fixed_dt":
        longest = int(movements.length.max()) if len(movements) else 0
        config = CanonicalConfig("fixed_dt", max(longest, MINIMUM_STEPS))
    rows, _ = usable(movements, config)
    return encode(movements.take(rows), config), rows


def concatenate(*parts: Canonical) -> Canonical:
    """Several sets of movements of the same form as one."""
    tensors = {k: torch.cat([getattr(part, k) for part in parts]) for k in TENSORS}
    group, source = (tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in ("group", "source"))
    return Canonical(**tensors, group=group, source=source)


def with_deltas(canonical: Canonical, deltas: Float[Tensor, "N T C"]) -> Canonical:
    """The same conditions and masks around other deltas: a sample in place of the movement that it matches."""
    return replace(canonical, deltas=deltas)
