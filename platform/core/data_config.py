"""Configuration of the data commands, without torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from trainables.core.bounds import AnyInt, Choice, Distinct, check
from trainables.core.config import require
from trainables.data.config import DEFAULT_SOURCE, SOURCE_NAMES, TIME_UNIT_NAMES, DataConfig, SourceConfig

CONDITIONS, INSPECT, CONVERT = "conditions", "inspect", "convert"  # the verbs
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


@dataclass(frozen=True)
class InspectConfig:
    """Settings of the inspection of recordings."""

    path: str | None = None  # file, folder, zip or glob of the recordings
    source: Annotated[str, Choice(SOURCE_NAMES, or_empty=True)] = ""  # reader of the recordings; empty: it is guessed
    time_unit: Annotated[str, Choice(TIME_UNIT_NAMES)] = "ms"  # of the times in tables and event logs; never guessed
    # picture of twenty movements; one that is there is replaced if this command wrote it; empty: none
    out: str = "inspect.png"
    json: str = ""  # file of all figures; one that is there is replaced if this command wrote it; empty: none
    seed: AnyInt = 0  # of the choice of movements in the picture

    def __post_init__(self) -> None:
        check(self)
        remedy = "use python -m platform.data inspect PATH, or inspect source=cursory for the default recordings"
        require(bool(self.path) or self.source == DEFAULT_SOURCE, "a PATH", "none", remedy)
        for name, suffix in (("out", ".png"), ("json", ".json")):
            file = getattr(self, name)
            fits = not file or Path(file).suffix.lower() == suffix
            require(fits, f"`{name}` to end in {suffix}", f"{name}={file}", f"give {name}=inspect{suffix}")


@dataclass(frozen=True)
class ConvertConfig:
    """Settings of the conversion of recordings into canonical Parquet."""

    path: str | None = None  # file, folder, zip or glob of the recordings
    source: Annotated[str, Choice(SOURCE_NAMES, or_empty=True)] = ""  # reader of the recordings; empty: it is guessed
    time_unit: Annotated[str, Choice(TIME_UNIT_NAMES)] = "ms"  # of the times in tables and event logs; never guessed
    # several sources in place of `path` and `source`, as [{reader:table,path:one.parquet,name:one},{reader:cursory}]
    sources: Annotated[tuple[SourceConfig, ...], Distinct()] = ()
    # file to write, .parquet; one that is there is replaced if this command wrote it
    out: str = "recordings.parquet"

    def __post_init__(self) -> None:
        check(self)
        several, one = bool(self.sources), bool(self.path) or bool(self.source)
        require(not (several and one), "a PATH, or `sources`", "both", "leave one of them out")
        remedy = "use python -m platform.data convert PATH out=FILE.parquet"
        require(several or bool(self.path) or self.source == DEFAULT_SOURCE, "a PATH", "none", remedy)
        law, got = "the `time_unit` of each of `sources` in it", f"time_unit={self.time_unit} beside them"
        require(not several or self.time_unit == "ms", law, got, "write {reader:table,path:FILE,time_unit:s}")
        fits = Path(self.out).suffix == ".parquet"
        require(fits, "`out` to end in .parquet", f"out={self.out}", "give out=recordings.parquet")
