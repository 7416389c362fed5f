"""Configuration of the evaluation of a generator, or of movements made elsewhere; without torch."""

from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any

from trainables.core.bounds import AnyInt, Choice, Distinct, Length, NonNegativeInt, check
from trainables.core.config import require
from trainables.core.device import require_device
from trainables.data.config import DataConfig
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.eval.generation.config import METRIC_NAMES, MetricConfig

GENERATOR_SPLITS = ("validation", "test")
GeneratorSplit = Annotated[
    str, Choice(GENERATOR_SPLITS, remedies={"holdout": "the holdout split is reserved for the promotion"})
]
CROSSFIT_KEYS = ("ckpt", "crossfit", "seed", "device", "out_dir", "data")  # the others have their defaults there


@dataclass(frozen=True)
class EvalConfig:
    """Checkpoint or file, users and metrics of an evaluation."""

    ckpt: str = ""  # checkpoint folder, or
    # a file of movements: .parquet, .csv, .npy, or a folder of `platform.negatives`; several, [A,B], in one table
    samples: Annotated[tuple[str, ...], Distinct()] = ()
    # parts of the report
    metrics: Annotated[tuple[Annotated[str, Choice(METRIC_NAMES)], ...], Length()] = METRIC_NAMES
    split: GeneratorSplit = "validation"  # split of the recordings; test for the final evaluation
    val_split: str = ""  # file of real movements to compare with, in place of `split`
    n: NonNegativeInt = 0  # samples; 0: all that there are, one per real movement where a checkpoint makes them
    steps: NonNegativeInt = 0  # network calls per sample; 0: those of `sampling`
    seed: AnyInt = 20240  # seed of the noise, and of the choice of rows where n leaves some out
    sampling: SamplingChanges = field(default_factory=SamplingChanges)  # null: as the checkpoint was evaluated
    # checkpoint of a detector, whose scores are one more probe, fitted to none of these samples; empty: none
    detector_checkpoint: str = ""
    device: str = "cpu"  # torch device
    out_dir: str = "evaluation"  # folder to write
    # folds of users: a model per fold is trained on the others with the configuration of the checkpoint, so that every
    # user outside of the holdout split is evaluated once; 0: the checkpoint itself
    crossfit: NonNegativeInt = 0
    leave_one_source_out: bool = False  # train a model without each source in turn, and evaluate it on that source
    comparison: MetricConfig = field(default_factory=MetricConfig)
    data: DataConfig = field(default_factory=DataConfig)  # for samples of a file; a checkpoint brings its own

    def __post_init__(self) -> None:
        check(self)
        require_device(self.device)
        if self.crossfit:
            self._check_crossfit()
        given = "both" if self.ckpt and self.samples else "neither"
        require(bool(self.ckpt) != bool(self.samples), "exactly one of `ckpt` and `samples`", given)
        several = len(self.samples) > 1
        named = not several or not self.val_split
        require(named, "no `val_split` with several files, whose row ids name a split", f"val_split={self.val_split}")
        default = not several or self.metrics == METRIC_NAMES
        chosen = f"metrics=[{', '.join(self.metrics)}]"
        require(default, "no `metrics` with several files, which are compared by those of the training", chosen)
        require(not several or self.n == 0, "n=0 with several files, which are compared row by row", f"n={self.n}")
        if self.leave_one_source_out:
            alone = bool(self.ckpt) and (self.val_split, self.n, self.metrics) == ("", 0, METRIC_NAMES)
            law = "`leave_one_source_out` with `ckpt` and without val_split, n and metrics"
            require(alone, law, "others", "leave them out")
            candidates = self.sampling.candidates or 1
            law = "`sampling.candidates=1` with leave_one_source_out, whose models have no selector"
            require(candidates == 1, law, f"sampling.candidates={candidates}", "leave it out")
        law = "no `detector_checkpoint` where other models or several files are evaluated"
        alone = not several and not self.leave_one_source_out
        require(alone or not self.detector_checkpoint, law, f"detector_checkpoint={self.detector_checkpoint}")

    def _check_crossfit(self) -> None:
        """Require two folds, a checkpoint, and the defaults of the keys that choose what is evaluated and how."""
        law, got = "`crossfit=0` or `crossfit >= 2`", f"crossfit={self.crossfit}"
        require(self.crossfit >= 2, law, got, "one fold has no other users to train on; give crossfit=5")
        law = "`ckpt` with crossfit, which trains models with the configuration of a checkpoint"
        require(not self.samples, law, f"samples={', '.join(self.samples)}", "give ckpt=FOLDER, or leave crossfit out")
        for key in fields(self):
            default = key.default if key.default_factory is MISSING else key.default_factory()
            changed = "" if key.name in CROSSFIT_KEYS else _changed(key.name, getattr(self, key.name), default)
            law = f"the default of `{key.name}` with crossfit, which evaluates as the training of the checkpoint did"
            require(not changed, law, changed, "leave it out")


def _changed(name: str, value: Any, default: Any) -> str:
    """Return the first key with another value than its default, as a user gives it; empty where there is none."""
    if is_dataclass(value):
        parts = (_changed(f"{name}.{part}", one, getattr(default, part)) for part, one in vars(value).items())
        return next(filter(None, parts), "")
    shown = f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value
    return "" if value == default else f"{name}={shown}"
