"""Leave one family out: the TPR of a detector on a family of bots that it was not trained on.

There is one detector per family, trained on all others, and each is evaluated on all families. The matrix holds the TPR
on every family (column) of every detector (row); on its diagonal stand the families that were left out. The gain by
training on a family is the mean of its column without the diagonal, less the diagonal.

    python -m trainables.detector.leave_one_out bots=bots.parquet

trains these detectors, evaluates them and writes the table.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.core.config import ConfigError, plain, require, with_values
from trainables.detector.evaluation.report import SEEN, BotRow, DetectorEvaluation, from_plain
from trainables.detector.evaluation.tables import NONE, Table, interval, percent, rate_text


@dataclass(frozen=True)
class LeaveOneOut:
    """Results of detectors that were each trained without one family, lowest TPR first.

    Attributes:
        fpr: Target FPR of all thresholds.
        unseen: Metrics of each family, by the detector that was trained without it.
        matrix: Family left out -> family -> TPR.
    """

    fpr: float
    unseen: tuple[BotRow, ...]
    matrix: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, evaluations: Mapping[str, DetectorEvaluation]) -> "LeaveOneOut":
        """Return the results of one evaluation per family left out.

        Raises:
            ConfigError: No evaluation, a detector that was trained on the family that it leaves out or evaluated
                without it, or different target FPRs.
        """
        require(bool(evaluations), "`evaluations >= 1`", "0")
        fprs = {evaluation.thresholds[0].target_fpr for evaluation in evaluations.values()}
        require(len(fprs) == 1, "one target FPR in all evaluations", f"{sorted(fprs)}")
        unseen = [_left_out(family, evaluation) for family, evaluation in evaluations.items()]
        matrix = {f: {row.name: row.detected[0].value for row in e.families} for f, e in evaluations.items()}
        return cls(fprs.pop(), tuple(sorted(unseen, key=lambda row: (row.detected[0].value, row.name))), matrix)

    @property
    def families(self) -> tuple[str, ...]:
        """All evaluated families: those left out in the order of their rows, then the others, lowest TPR first."""
        left_out = [row.name for row in self.unseen]
        others = {name for rates in self.matrix.values() for name in rates} - set(left_out)
        return (*left_out, *sorted(others, key=lambda name: (self._mean(name), name)))

    @property
    def gains(self) -> Mapping[str, float | None]:
        """Family -> mean TPR of the detectors that were trained on it, less the TPR of the one that was not."""
        return {row.name: self._gain(row) for row in self.unseen}

    def _gain(self, row: BotRow) -> float | None:
        seen = [
            rates[row.name] for left_out, rates in self.matrix.items() if left_out != row.name and row.name in rates
        ]
        return sum(seen) / len(seen) - row.detected[0].value if seen else None

    def _mean(self, name: str) -> float:
        """Return the mean TPR on a family over the detectors that were evaluated on it."""
        rates = [rates[name] for rates in self.matrix.values() if name in rates]
        return sum(rates) / len(rates)

    def tables(self) -> tuple[Table, ...]:
        """Return the table of the families left out, and the matrix."""
        return self._unseen_table(), self._matrix_table()

    def to_json(self) -> dict[str, Any]:
        """Return a plain mapping; `from_json` inverts it."""
        return plain(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LeaveOneOut":
        """Return the results of a plain mapping. Raises ConfigError for any other mapping."""
        return from_plain(cls, content)

    def _unseen_table(self) -> Table:
        lines = [
            (
                *(row.name, str(row.metrics.bots), interval(row.metrics.auc), rate_text(row.detected[0])),
                NONE if self.gains[row.name] is None else f"{self.gains[row.name]:+.2f}",
            )
            for row in self.unseen
        ]
        columns = ("family left out", "n", "ROC-AUC", f"TPR at {percent(self.fpr)} FPR", "gain by training on it")
        return Table("Unseen families, lowest TPR first", columns, tuple(lines))

    def _matrix_table(self) -> Table:
        left_out = [row.name for row in self.unseen]
        lines = [
            (name, *(_cell(self.matrix[without].get(name), name == without) for without in left_out))
            for name in self.families
        ]
        title = (
            f"TPR at {percent(self.fpr)} FPR: rows, families of the bots; columns, families left out of the training"
        )
        return Table(title, ("bots", *left_out), tuple(lines))


def table_of(file: Path, trainable: Mapping[str, Any]) -> LeaveOneOut:
    """Return the results in a file of the command, for the card of a detector that was trained with `trainable`.

    Raises:
        ConfigError: The file cannot be read, was written by another version, or is of detectors that were trained
            with another configuration.
    """
    try:
        content = json.loads(file.read_text())
        table, theirs = content["table"], content["trainable"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"leave_one_out={file}: not a leave-one-out table ({error})") from None
    mine, theirs = (with_values(config, {"negatives.held_out": []}) for config in (trainable, theirs))
    got = ", ".join(key for key in mine if mine[key] != theirs.get(key))
    require(mine == theirs, "`leave_one_out` of detectors trained as this one", f"another {got}")
    try:
        return LeaveOneOut.from_json(table)
    except ConfigError as error:
        raise ConfigError(f"leave_one_out={file}: {error}; write it again with this version") from None


def _left_out(family: str, evaluation: DetectorEvaluation) -> BotRow:
    """Return the row of the family that a detector was trained without."""
    for row in evaluation.families:
        if row.name == family:
            require(
                row.training != SEEN, f"`{family}` to be left out of the training", ", ".join(evaluation.trained_on)
            )
            return row
    known = ", ".join(row.name for row in evaluation.families)
    raise ConfigError(f"expected an evaluation on `{family}`, which was left out of the training, but got {known}")


def _cell(value: float | None, is_left_out: bool) -> str:
    text = NONE if value is None else f"{value:.2f}"
    return f"[{text}]" if is_left_out else text
