"""Configuration of the fit of a selector, without torch."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import Checkpoint, Distinct, Range, check
from trainables.core.config import require
from trainables.core.device import require_device
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.generation.selection.config import Candidates, RatioConfig


@dataclass(frozen=True)
class SelectorConfig:
    """Checkpoint, sources and sampling that a selector is fitted to."""

    ckpt: Checkpoint = ""  # checkpoint folder of a diffusion; the selector is written into it
    # sources to fit a ratio for, each to its own training users; empty: those of the validation split
    source_names: Annotated[tuple[str, ...], Distinct()] = ()
    sampling: SamplingChanges = field(default_factory=SamplingChanges)  # null: as the checkpoint was evaluated
    ratio: RatioConfig = field(default_factory=RatioConfig)
    # 2: a second ratio is fitted to samples that the first one has drawn, and both multiply; its samples take
    # `round_candidates` times the network calls of the first
    rounds: Annotated[int, Range(ge=1, le=2)] = 1
    round_candidates: Candidates = 4  # candidates of each sample of the second round; sampling may take other numbers
    replace: bool = False  # fit again where the checkpoint has a selector already
    device: str = "cpu"  # torch device

    def __post_init__(self) -> None:
        check(self)
        require_device(self.device)
        law, got = "no `sampling.candidates` in a fit, which compares single samples", self.sampling.candidates
        require(got is None, law, f"sampling.candidates={got}", "leave it out; round_candidates is of the second round")
        law, got = "`round_candidates >= 2` with rounds=2, which is fitted to selected samples", self.round_candidates
        require(self.rounds == 1 or got >= 2, law, f"round_candidates={got}", "leave it out")
