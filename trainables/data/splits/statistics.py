"""Standardisation of sequences and conditions with the statistics of the training split."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.data.companding import compand, expand
from trainables.data.config import CONDITION_WIDTH, MEASURED_CONDITIONS
from trainables.data.splits.derived import parts_of


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


def source_index(names: Sequence[str], among: Sequence[str]) -> Int[Tensor, "N"]:
    """Index of each name, -1 where it is not among them."""
    place = {name: number for number, name in enumerate(among)}
    return torch.tensor([place.get(name, -1) for name in names], dtype=torch.int64)


def source_columns(names: Iterable[str]) -> tuple[str, ...]:
    """The different names in order, of which a network's condition has a column each; none where there is only one."""
    different = sorted(set(names))
    return tuple(different) if len(different) > 1 else ()


def fit_statistics(canonical: Canonical, scale_px: float) -> Statistics:
    """Mean and standard deviation per channel over valid steps, and per condition column over the rows that know it.

    A target width need not be known, nor vary: the mean is 0 if no row knows it, the standard deviation 1 if all who
    know it agree.

    Raises:
        ConfigError: fewer than two movements, or a measured column that does not vary.
    """
    require(len(canonical) >= 2, "`movements in the training split >= 2`", str(len(canonical)), "read more recordings")
    steps, condition = _of_steps(canonical, scale_px), torch.cat([p.condition() for p in parts_of(canonical)])
    channels = ("dx", "dy", "ticks")[: len(steps.mean)]
    for names, stds in ((channels, steps.std), (MEASURED_CONDITIONS, condition[:, :-1].std(dim=0))):
        for name, std in zip(names, stds.tolist(), strict=True):
            require(std > 0, f"`standard deviation of {name} > 0` in the training split", str(std))
    mean, std = (torch.stack(parts) for parts in zip(*map(_moments, condition.unbind(dim=1)), strict=True))
    scale = torch.tensor(scale_px, dtype=torch.float64)
    return Statistics(steps.mean, steps.std, mean, std, scale, source_columns(canonical.source))


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


def _of_steps(canonical: Canonical, scale_px: float) -> _Moments:
    """Return the moments of all valid companded steps."""
    steps = (compand(part.steps_px(), scale_px)[part.mask] for part in parts_of(canonical))
    return reduce(_Moments.with_others, (_Moments(len(one), one.mean(dim=0), one.std(dim=0)) for one in steps))


def _moments(column: Float[Tensor, "N"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean and standard deviation over the values that are no NaN: 0 if there is none, 1 if they are all equal."""
    known = column[~column.isnan()]
    mean = known.mean() if len(known) else column.new_zeros(())
    return mean, known.std() if len(known.unique()) > 1 else column.new_ones(())
