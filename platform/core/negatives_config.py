"""Configuration of the request for hard negatives, without torch."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import FiniteFloat, Length, NonNegativeInt, PositiveFloat, PositiveInt, Text, check
from trainables.data.config import DataConfig
from trainables.generation.selection.config import Candidates


@dataclass(frozen=True)
class NegativesConfig:
    """Settings of the request to the service."""

    url: str = "http://127.0.0.1:8000"  # address of the service
    # folder to write, which must not exist yet
    out_dir: Annotated[str, Text("a folder", remedy="add out_dir=results/negatives")] = "results/negatives"
    n: PositiveInt = 2000  # movements to fetch
    seed: NonNegativeInt = 0  # seed of the requests; each attempt has a stream of its own
    steps: PositiveInt | None = None  # network calls per sample; null: as the champion was evaluated
    # samples per movement, of which the champion's selector draws one; null: as the champion was evaluated
    candidates: Candidates | None = None
    # source of the recordings that movements are to be like; null: as those whose conditions the champion draws
    source: str | None = None
    # [low, high] of the published detector's score of each movement; null: any
    hardness: Annotated[tuple[FiniteFloat, ...], Length(2, 2)] | None = None
    timeout_s: PositiveFloat = 330.0  # seconds that one request may take
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        check(self)
