"""Leave one family out: how a detector fares with bots of a family that it alone was not trained on.

One detector per family, trained on all others, and each judged on all of them. The matrix holds the share caught of
every family (column) by every detector (row); on its diagonal stand the families that the detector has not met. What a
family gains by being trained on is the mean of its column without the diagonal, less the diagonal.

    python -m trainables.detector.leave_one_out bots=bots.parquet

trains these detectors, judges them and writes the table; the command stands in `family_folds`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.core.config import ConfigError, plain, require, with_values
from trainables.detector.evaluation.report import SEEN, BotRow, DetectorJudgement
from trainables.detector.evaluation.tables import NONE, Sheet, interval, percent, share_text
from trainables.detector.records import from_plain


@dataclass(frozen=True)
class LeaveOneOut:
    """A family per row, fewest caught first.

    Attributes:
        fpr: That all thresholds were fixed for.
        unseen: The family that was left out, as the detector without it sees it.
        matrix: Family left out -> family -> share caught.
    """

    fpr: float
    unseen: tuple[BotRow, ...]
    matrix: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, judgements: Mapping[str, DetectorJudgement]) -> "LeaveOneOut":
        """The table of one judgement per family left out.

        Raises:
            ConfigError: none, a detector that was trained on the family that it was to leave out or judged without
                it, or thresholds for different rates.
        """
        require(bool(judgements), "`judgements >= 1`", "0")
        fprs = {judgement.thresholds[0].target_fpr for judgement in judgements.values()}
        require(len(fprs) == 1, "one target FPR in all judgements", f"{sorted(fprs)}")
        unseen = [_left_out(family, judgement) for family, judgement in judgements.items()]
        matrix = {f: {row.name: row.caught[0].value for row in j.families} for f, j in judgements.items()}
        return cls(fprs.pop(), tuple(sorted(unseen, key=lambda row: (row.caught[0].value, row.name))), matrix)

    @property
    def families(self) -> tuple[str, ...]:
        """All that were judged: those left out in the order of their rows, then the others, fewest caught first."""
        left_out = [row.name for row in self.unseen]
        others = {name for shares in self.matrix.values() for name in shares} - set(left_out)
        return (*left_out, *sorted(others, key=lambda name: (self._mean(name), name)))

    @property
    def gains(self) -> Mapping[str, float | None]:
        """Family -> mean share caught by the detectors that were trained on it, less that of the one that was not."""
        return {row.name: self._gain(row) for row in self.unseen}

    def _gain(self, row: BotRow) -> float | None:
        seen = [
            shares[row.name] for left_out, shares in self.matrix.items() if left_out != row.name and row.name in shares
        ]
        return sum(seen) / len(seen) - row.caught[0].value if seen else None

    def _mean(self, name: str) -> float:
        """Share of a family caught, mean over the detectors that were judged on it."""
        found = [shares[name] for shares in self.matrix.values() if name in shares]
        return sum(found) / len(found)

    def sheets(self) -> tuple[Sheet, ...]:
        """The families left out, and the matrix."""
        return self._unseen_sheet(), self._matrix_sheet()

    def to_json(self) -> dict[str, Any]:
        """A plain mapping; `from_json` of it is the same table."""
        return plain(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LeaveOneOut":
        """The table of a plain mapping. Raises ConfigError if it is none."""
        return from_plain(cls, content)

    def _unseen_sheet(self) -> Sheet:
        lines = [
            (
                *(row.name, str(row.figures.bots), interval(row.figures.auc), share_text(row.caught[0])),
                NONE if self.gains[row.name] is None else f"{self.gains[row.name]:+.2f}",
            )
            for row in self.unseen
        ]
        columns = ("family left out", "n", "ROC-AUC", f"TPR at {percent(self.fpr)} FPR", "gain by training on it")
        return Sheet("Families never trained on, fewest caught first", columns, tuple(lines))

    def _matrix_sheet(self) -> Sheet:
        left_out = [row.name for row in self.unseen]
        lines = [
            (name, *(_cell(self.matrix[without].get(name), name == without) for without in left_out))
            for name in self.families
        ]
        title = f"TPR at {percent(self.fpr)} FPR: by row the family caught, by column the one left out of the training"
        return Sheet(title, ("caught", *left_out), tuple(lines))


def table_of(file: Path, trainable: Mapping[str, Any]) -> LeaveOneOut:
    """The table that the command wrote, for the card of a detector that was trained with `trainable`.

    Raises:
        ConfigError: no such file or no such table, or one of detectors that were trained otherwise.
    """
    try:
        content = json.loads(file.read_text())
        table, theirs = content["table"], content["trainable"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"leave_one_out={file}: not a table of families left out ({error})") from None
    mine, theirs = (with_values(config, {"negatives.held_out": []}) for config in (trainable, theirs))
    got = ", ".join(key for key in mine if mine[key] != theirs.get(key))
    require(mine == theirs, "`leave_one_out` of detectors trained as this one", f"another {got}")
    return LeaveOneOut.from_json(table)


def _left_out(family: str, judgement: DetectorJudgement) -> BotRow:
    """The row of the family that a detector was trained without."""
    for row in judgement.families:
        if row.name == family:
            require(row.training != SEEN, f"`{family}` to be left out of the training", ", ".join(judgement.trained_on))
            return row
    known = ", ".join(row.name for row in judgement.families)
    raise ConfigError(f"expected an evaluation on `{family}`, which was left out of the training, but got {known}")


def _cell(value: float | None, is_left_out: bool) -> str:
    text = NONE if value is None else f"{value:.2f}"
    return f"[{text}]" if is_left_out else text
