"""Standardisation of sequences and conditions with the statistics of the training split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical, turned
from trainables.data.companding import compand, expand
from trainables.data.config import CONDITION_WIDTH, FRAME_NAMES, MEASURED_CONDITIONS
from trainables.data.frames import FRAMES
from trainables.data.splits.derived import parts_of

ENDS = 2  # columns of a network's condition: whether the first and the last step move


@dataclass(frozen=True, eq=False)
class Statistics:
    """Standardisation of sequences and conditions with the training split's statistics.

    A step is modelled in pixels, turned into the frame and companded: z = (compand(d) - mean) / std per channel over
    valid steps.

    Attributes:
        scale_px: Of the companding.
        sources: Names of the sources, one column of a network's condition each; none where there is only one source.
        frame: Name of the frame, of `trainables.data.frames.FRAMES`.
        ends: Whether a network's condition includes whether the first and the last step move.
    """

    mean: Float[Tensor, "C"]
    std: Float[Tensor, "C"]
    condition_mean: Float[Tensor, "D"]
    condition_std: Float[Tensor, "D"]
    scale_px: Float[Tensor, ""]
    sources: tuple[str, ...] = ()
    frame: str = FRAME_NAMES[0]
    ends: bool = False

    def __post_init__(self) -> None:
        law, remedy = f"`frame` in {{{', '.join(FRAMES)}}}", "a newer version may know it"
        require(self.frame in FRAMES, law, f"frame={self.frame}", remedy)

    @property
    def condition_width(self) -> int:
        """Width of a network's condition."""
        return CONDITION_WIDTH + len(self.sources) + FRAMES[self.frame].width + ENDS * self.ends

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors for a checkpoint, whose record has the rest."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    @classmethod
    def of_tensors(
        cls,
        tensors: Mapping[str, Tensor],
        sources: Iterable[str] = (),
        frame: str = FRAME_NAMES[0],
        ends: bool = False,
    ) -> "Statistics":
        """Inverse of `tensors`.

        Args:
            sources: Names of the sources of the training split.
            frame, ends: As the attributes.

        Raises:
            ConfigError: a tensor is missing, or one too many, or there is no such frame.
        """
        names = {field.name for field in fields(cls)} - {"sources", "frame", "ends"}
        require(tensors.keys() == names, f"statistics {', '.join(sorted(names))}", ", ".join(sorted(tensors)))
        return cls(
            tensors["mean"],
            tensors["std"],
            tensors["condition_mean"],
            tensors["condition_std"],
            tensors["scale_px"],
            source_columns(sources),
            frame,
            ends,
        )

    def net_px(self, canonical: Canonical) -> Float[Tensor, "N 2"]:
        """Return the net displacement of each movement in the frame, in pixels."""
        rest = FRAMES[self.frame].rest(canonical.angle)
        return canonical.distance_px[:, None] * torch.stack([rest.cos(), rest.sin()], dim=1)

    def compress(self, steps_px: Float[Tensor, "N T C"]) -> Float[Tensor, "N T C"]:
        """Standardised companded steps, from pixels in the frame, in float64."""
        mean, std, scale_px = (part.to(steps_px.device) for part in (self.mean, self.std, self.scale_px))
        return (compand(steps_px.double(), scale_px) - mean) / std

    def expand(self, z: Float[Tensor, "N T C"]) -> Float[Tensor, "N T C"]:
        """Steps in pixels in the frame, in float64; inverse of `compress`."""
        mean, std, scale_px = (part.to(z.device) for part in (self.mean, self.std, self.scale_px))
        return expand(z.double() * std + mean, scale_px)

    def normalise(self, canonical: Canonical) -> Float[Tensor, "N T C"]:
        """Standardised companded steps in float32, zero under the mask."""
        return (self.compress(steps_in_frame(canonical, self.frame)) * canonical.mask[..., None]).float()

    def denormalise(self, z: Float[Tensor, "N T C"], frame: Canonical) -> Float[Tensor, "N T C"]:
        """Canonical deltas in float64 at the distances of `frame`; inverse of `normalise`."""
        steps_px, its = self.expand(z), FRAMES[self.frame]
        return frame.with_steps_px(turned(steps_px, -its.rest(frame.angle)) if its.width else steps_px).deltas

    def normalise_condition(
        self,
        condition: Float[Tensor, "N D"],
        source: Int[Tensor, "N"],
        angle: Float[Tensor, "N"],
        ends: Int[Tensor, "N 2"],
    ) -> Float[Tensor, "N E"]:
        """A network's condition in float32, `condition_width` columns: the raw ones standardised, and 1 or 0.

        1 where the target width is known; where it is not (NaN) both of its columns are 0. Then a column per source,
        which a linear layer turns into an embedding: 1 in that of the row's source, all 0 where it is unknown. Then
        the columns of the frame, and the ends where they are a condition.

        Args:
            source: Index in `sources`; -1: unknown.
            angle: Direction on the screen, radians.
            ends: As `Canonical.ends`; 0: unknown.
        """
        standardised = (condition - self.condition_mean) / self.condition_std
        known = ~condition[:, -1:].isnan()
        width = torch.where(known, standardised[:, -1:], 0.0)
        its_source = source[:, None] == torch.arange(len(self.sources))
        direction, its_ends = FRAMES[self.frame].columns(angle), ends[:, : ENDS * self.ends]
        return torch.cat([standardised[:, :-1], width, known, its_source, direction, its_ends], dim=1).float()


def steps_in_frame(canonical: Canonical, frame: str) -> Float[Tensor, "N T C"]:
    """Return the steps of movements in pixels, turned into a frame; along the chord they are left as they are."""
    steps_px, its = canonical.steps_px(), FRAMES[frame]
    return turned(steps_px, its.rest(canonical.angle)) if its.width else steps_px


def source_index(names: Sequence[str], among: Sequence[str]) -> Int[Tensor, "N"]:
    """Index of each name, -1 where it is not among them."""
    place = {name: number for number, name in enumerate(among)}
    return torch.tensor([place.get(name, -1) for name in names], dtype=torch.int64)


def source_columns(names: Iterable[str]) -> tuple[str, ...]:
    """The different names in order, of which a network's condition has a column each; none where there is only one."""
    different = sorted(set(names))
    return tuple(different) if len(different) > 1 else ()


def fit_statistics(canonical: Canonical, scale_px: float, frame: str = FRAME_NAMES[0]) -> Statistics:
    """Mean and standard deviation per channel over valid steps, and per condition column over the rows that know it.

    A target width need not be known, nor vary: the mean is 0 if no row knows it, the standard deviation 1 if all who
    know it agree.

    Raises:
        ConfigError: fewer than two movements, or a measured column that does not vary.
    """
    require(len(canonical) >= 2, "`movements in the training split >= 2`", str(len(canonical)), "read more recordings")
    steps, condition = _of_steps(canonical, scale_px, frame), torch.cat([p.condition() for p in parts_of(canonical)])
    channels = ("dx", "dy", "ticks")[: len(steps.mean)]
    for names, stds in ((channels, steps.std), (MEASURED_CONDITIONS, condition[:, :-1].std(dim=0))):
        for name, std in zip(names, stds.tolist(), strict=True):
            require(std > 0, f"`standard deviation of {name} > 0` in the training split", str(std))
    mean, std = (torch.stack(parts) for parts in zip(*map(_moments, condition.unbind(dim=1)), strict=True))
    scale = torch.tensor(scale_px, dtype=torch.float64)
    return Statistics(steps.mean, steps.std, mean, std, scale, source_columns(canonical.source), frame)


class _Moments(NamedTuple):
    """Mean and standard deviation of a number of rows, per column."""

    rows: int
    mean: Float[Tensor, "C"]
    std: Float[Tensor, "C"]

    def with_others(self, other: "_Moments") -> "_Moments":
        """Return the moments of both sets of rows together.

        References: Updating formulae and a pairwise algorithm for computing sample variances (Chan, Golub & LeVeque,
        1982), eq. 1.5.
        """
        rows, apart = self.rows + other.rows, other.mean - self.mean
        squares = self.std**2 * (self.rows - 1) + other.std**2 * (other.rows - 1)
        squares = squares + apart**2 * (self.rows * other.rows / rows)
        return _Moments(rows, self.mean + apart * (other.rows / rows), (squares / (rows - 1)).sqrt())


def _of_steps(canonical: Canonical, scale_px: float, frame: str) -> _Moments:
    """Return the moments of all valid companded steps in a frame."""
    steps = (compand(steps_in_frame(part, frame), scale_px)[part.mask] for part in parts_of(canonical))
    return reduce(_Moments.with_others, (_Moments(len(one), one.mean(dim=0), one.std(dim=0)) for one in steps))


def _moments(column: Float[Tensor, "N"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean and standard deviation over the values that are no NaN: 0 if there is none, 1 if they are all equal."""
    known = column[~column.isnan()]
    mean = known.mean() if len(known) else column.new_zeros(())
    return mean, known.std() if len(known.unique()) > 1 else column.new_ones(())
