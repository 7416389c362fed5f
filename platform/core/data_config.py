"""Configuration of what the data command writes, without torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from trainables.core.bounds import Choice, check
from trainables.core.config import require
from trainables.data.config import DataConfig

CONDITIONS = "conditions"  # the verb
EXPORTED_SPLITS = ("train", "validation", "test")
SUFFIXES = (".parquet", ".csv")
HOLDOUT = "the holdout split is reserved for the promotion and never exported"


@dataclass(frozen=True)
class EvaluationRowsConfig:
    """Settings of the export of evaluation conditions."""

    # split of the recordings
    split: Annotated[str, Choice(EXPORTED_SPLITS, remedies={"holdout": HOLDOUT})] = "validation"
    out: str = "conditions.parquet"  # file to write: .parquet or .csv; an existing one is replaced
    data: DataConfig = field(default_factory=DataConfig)  # recordings and canonical form, as in the evaluation

    def __post_init__(self) -> None:
        check(self)
        known = Path(self.out).suffix.lower() in SUFFIXES
        require(known, f"`out` to end in {' or '.join(SUFFIXES)}", f"out={self.out}", "give out=conditions.parquet")
