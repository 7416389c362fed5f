"""The selector of a checkpoint: a ratio per source, stored in a folder of the checkpoint, and valid for it alone.

    checkpoint/selector/
      weights.safetensors   the trees of each source as arrays, the calibration, thresholds of columns
      record.json           hash of the generator's weights and of the data, sampling, sources, columns, users

It is a checkpoint of kind `selector`: nothing is pickled, and a changed file is refused. The record names the weights
that made the samples of the fit; with any others the ratio would be that of another generator.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.atomic_files import staging_path
from trainables.core.config import require
from trainables.data.canonical import Canonical, Movements, encode, usable
from trainables.data.config import MINIMUM_STEPS, CanonicalConfig
from trainables.generation.conditions import Conditions
from trainables.generation.selection.columns import Columns
from trainables.generation.selection.density_ratio import DensityRatio, Ints
from trainables.generation.selection.resampling import Floats, Key, drawn, weights_of
from trainables.training.checkpoint import (
    CheckpointError,
    flatten,
    load_checkpoint_of,
    save_checkpoint,
    select,
)
from trainables.training.checkpoint_record import SELECTOR

KIND = "selector"
SECOND_ROUND = "second_round"  # key of the record: candidates of the samples that the second ratio was fitted to


@dataclass(frozen=True, eq=False)
class SourceRatio:
    """The ratio of one source with its columns.

    Attributes:
        ratio: p_real / p_sampled.
        second: p_real / p_selected, of samples that were drawn by `ratio`; None: one round was fitted.
    """

    columns: Columns
    ratio: DensityRatio
    second: DensityRatio | None = None

    def __call__(self, observed: Canonical, raw: Float[Tensor, "N D"], angle: Float[Tensor, "N"]) -> Floats:
        """Return log r [N] of movements under the conditions that were asked for, see `of_table`."""
        return self.of_table(self.columns(observed, raw, angle))

    def of_table(self, table: Floats) -> Floats:
        """Return log r [N] of rows of columns: the sum of both rounds, within the bound of one, +-log R."""
        first = self.ratio(table)
        return first if self.second is None else self._bounded(first + self.second(table))

    def out_of_fold(self, table: Floats, fold: Ints) -> Floats:
        """Return log r [N] of rows of columns of training users, see `DensityRatio.out_of_fold`."""
        first = self.ratio.out_of_fold(table, fold)
        return first if self.second is None else self._bounded(first + self.second.out_of_fold(table, fold))

    def _bounded(self, log_ratio: Floats) -> Floats:
        bound = math.log(self.ratio.max_ratio)
        values: Floats = np.clip(log_ratio, -bound, bound)
        return values

    def tensors(self) -> dict[str, Tensor]:
        """Return columns and ratios by name; `_ratio_of` inverts it."""
        second = {} if self.second is None else flatten("second", self.second.tensors())
        return {**flatten("columns", self.columns.tensors()), **flatten("ratio", self.ratio.tensors()), **second}


@dataclass(frozen=True, eq=False)
class Selector:
    """Ratios by source, with the record of their fit.

    Attributes:
        record: Plain values: see `account_of`.
    """

    ratios: Mapping[str, SourceRatio]
    record: Mapping[str, Any]

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of columns that were fitted."""
        return tuple(self.record["config"]["columns"])

    @property
    def rounds(self) -> int:
        """Number of ratios whose product weighs a candidate."""
        return 2 if SECOND_ROUND in self.record else 1

    @property
    def sampling(self) -> Mapping[str, Any]:
        """Settings of the sampler that made the samples of the fit; without the number of candidates."""
        return dict(self.record["sampling"])

    def require_sources(self, conditions: Conditions) -> None:
        """Raise ConfigError unless every row is of a source whose ratio was fitted."""
        missing = ", ".join(self._missing(conditions))
        known = ", ".join(sorted(self.ratios))
        remedy = "ask for one of these sources, or fit the selector to the other (source_names=[...])"
        require(
            not missing, f"conditions of the sources of the selector ({known}) with candidates > 1", missing, remedy
        )

    def covers(self, conditions: Conditions) -> bool:
        """Return whether every row is of a source whose ratio was fitted."""
        return not self._missing(conditions)

    def _missing(self, conditions: Conditions) -> list[str]:
        names = (*conditions.sources, "unknown")
        wanted = {names[index] for index in conditions.source.unique().tolist()}
        return sorted(wanted - self.ratios.keys())

    def chosen(
        self, movements: Movements, conditions: Conditions, keys: Sequence[Key]
    ) -> tuple[Int[Tensor, "N"], Float[Tensor, "N K"]]:
        """Return the number of the drawn candidate of each row, and the weights of all.

        Each row is computed by itself and at its own length, so that no bit depends on the other rows or on T.

        Args:
            movements: The candidates in whole pixels at 60 Hz, K of each row one after another.
            conditions: Of the rows.
            keys: Of the rows.
        """
        candidates = len(movements) // len(keys)
        numbers, weights = [], []
        for row, key in enumerate(keys):
            own = movements.take(torch.arange(row * candidates, (row + 1) * candidates))
            weights.append(self._weights(own, conditions.take(slice(row, row + 1))))
            numbers.append(drawn(weights[-1], key))
        return torch.tensor(numbers), torch.from_numpy(np.stack(weights))

    def _weights(self, candidates: Movements, condition: Conditions) -> Floats:
        """Return the weights of the candidates of one row; those that are no movements any more have none."""
        of_source = self.ratios[condition.sources[int(condition.source)]]
        steps = max(int(candidates.length.max()), MINIMUM_STEPS)
        form = CanonicalConfig("fixed_dt", steps)
        at_length = Movements(
            candidates.steps_px[:, :steps], candidates.length, candidates.group, candidates.target_width_px
        )
        rows, _ = usable(at_length, form)
        log_ratio, fits = np.zeros(len(candidates)), np.zeros(len(candidates), dtype=np.bool_)
        if len(rows):
            raw, angle = condition.raw.expand(len(rows), -1), condition.angle.expand(len(rows))
            fits[rows.numpy()] = True
            log_ratio[rows.numpy()] = of_source(encode(at_length.take(rows), form), raw, angle)
        return weights_of(log_ratio, fits)

    def save(self, checkpoint: Path, *, replace: bool = False) -> Path:
        """Write the selector into the folder of its checkpoint; returns where.

        Raises:
            CheckpointError: There is one already, and it is not to be replaced.
        """
        folder = checkpoint / SELECTOR
        if folder.exists() and not replace:
            raise CheckpointError(f"{folder}: exists already; give replace=true to fit it again")
        tensors: dict[str, Tensor] = {}
        for number, source in enumerate(self.record["sources"]):
            tensors |= flatten(f"source{number}", self.ratios[source].tensors())
        written = staging_path(folder)
        shutil.rmtree(written, ignore_errors=True)
        save_checkpoint(written, tensors, {**self.record, "kind": KIND})
        shutil.rmtree(folder, ignore_errors=True)
        written.rename(folder)
        return folder


def load_selector(checkpoint: Path, weights_sha256: str) -> Selector | None:
    """Return the selector in the folder of a checkpoint; None where it has none.

    Args:
        weights_sha256: Hash of the weights of the checkpoint.

    Raises:
        CheckpointError: It is damaged, or was fitted to samples of other weights.
    """
    folder = checkpoint / SELECTOR
    if not folder.exists():
        return None
    tensors, record = load_checkpoint_of(KIND, folder)
    fitted_to = record.get("generator_sha256")
    if fitted_to != weights_sha256:
        raise CheckpointError(
            f"{folder}: fitted to another checkpoint (weights {str(fitted_to)[:12]}, not {weights_sha256[:12]}); "
            "remove the folder, and fit a selector with `python -m platform.selector`"
        )
    try:
        return Selector(
            {
                source: _ratio_of(select(f"source{number}", tensors), record)
                for number, source in enumerate(record["sources"])
            },
            record,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}: not a whole selector ({error}); remove it, and fit it again") from None


def _ratio_of(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> SourceRatio:
    columns = Columns.of_tensors(record["config"]["columns"], select("columns", tensors))
    rounds = ("ratio", "second") if SECOND_ROUND in record else ("ratio",)
    ratios = [DensityRatio.of_tensors(select(name, tensors)) for name in rounds]
    if any(trees.columns != len(columns.names) for ratio in ratios for trees in ratio.trees):
        raise ValueError(f"trees of {ratios[0].trees[0].columns} columns beside {len(columns.names)}")
    return SourceRatio(columns, *ratios)
