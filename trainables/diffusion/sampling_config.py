"""Configuration of the sampling, without torch."""

from dataclasses import dataclass, fields, replace
from typing import Annotated

from trainables.core.bounds import AnyInt, Choice, FiniteFloat, Length, NonNegativeInt, PositiveInt, Share, check
from trainables.core.config import require
from trainables.generation.selection.config import Candidates

SAMPLER_NAMES = ("ddim", "dpmpp_2m")
FORMAT_NAMES = ("npy", "parquet")
SAMPLES = 1000  # movements to sample where neither their number nor their conditions are given
SPACING_NAMES = ("trailing", "log_snr")
CALL_KEYS = ("steps", "sampler", "spacing", "guidance", "eta")  # what decides the network calls of a sample


@dataclass(frozen=True)
class SamplingConfig:
    """Configuration of the sampler."""

    # solver of the reverse process; dpmpp_2m errs half as much as ddim at 20 calls, at 8 as much as ddim at 20
    sampler: Annotated[str, Choice(SAMPLER_NAMES)] = "dpmpp_2m"
    spacing: Annotated[str, Choice(SPACING_NAMES)] = "log_snr"  # at which noise levels the network is called
    steps: PositiveInt = 20  # network calls per sample
    guidance: FiniteFloat = 1.0  # 1: the conditional model; more: away from the unconditional one, at twice the cost
    eta: Share = 0.0  # share of the ancestral sampler's fresh noise; 0: the initial noise decides everything
    inpaint: bool = False  # hold the net displacement to the requested one at every step
    align: bool = True  # turn and scale each sample onto the requested net displacement
    # samples of each condition, of which one is drawn by the ratio of a fitted selector; 1: no selection
    candidates: Candidates = 1

    def __post_init__(self) -> None:
        check(self)
        only_ddim = self.eta == 0.0 or self.sampler == "ddim"
        require(only_ddim, "`eta = 0` unless `sampler = ddim`", f"eta={self.eta}, sampler={self.sampler}")


@dataclass(frozen=True)
class SamplingChanges:
    """Changes to a checkpoint's own sampling; a field that is None stays as it is."""

    sampler: Annotated[str, Choice(SAMPLER_NAMES)] | None = None  # solver of the reverse process
    spacing: Annotated[str, Choice(SPACING_NAMES)] | None = None  # at which noise levels the network is called
    steps: PositiveInt | None = None  # network calls per sample
    guidance: FiniteFloat | None = None  # 1: the conditional model; more: away from the unconditional one
    eta: Share | None = None  # share of the ancestral sampler's fresh noise
    inpaint: bool | None = None  # hold the net displacement to the requested one at every step
    align: bool | None = None  # turn and scale each sample onto the requested net displacement
    # samples of each condition, of which one is drawn by the checkpoint's selector (`python -m platform.selector`)
    candidates: Candidates | None = None

    def __post_init__(self) -> None:
        check(self)

    def over(self, sampling: SamplingConfig) -> SamplingConfig:
        """The sampling with these changes.

        Raises:
            ConfigError: they break a law of `SamplingConfig`.
        """
        return replace(sampling, **{name: value for name, value in vars(self).items() if value is not None})


QUALITY_NAMES = ("fast", "best")
QUALITIES: dict[str, SamplingChanges] = {
    "fast": SamplingChanges(steps=10),  # half the time, for a little of the quality; 5 lose much of it
    # 40 gave nothing beyond; with candidates where a selector was fitted, see `trainables.diffusion.candidates`
    "best": SamplingChanges(steps=20),
}
BEST = "best"


def preset(quality: str | None, distilled: bool) -> SamplingChanges:
    """Return the changes of a preset; of a distilled model those alone that leave its network calls as they are.

    Args:
        quality: A key of `QUALITIES`; None: no change.
    """
    changes = QUALITIES[quality] if quality else SamplingChanges()
    return replace(changes, **dict.fromkeys(CALL_KEYS, None)) if distilled else changes


@dataclass(frozen=True)
class SampleConfig:
    """Configuration of one sampling run: checkpoint, number, conditions, sampler and output."""

    ckpt: str = ""  # checkpoint folder
    n: PositiveInt | None = None  # movements to sample; null: one per row of `cond`, 1000 without it
    seq_len: NonNegativeInt = 0  # T, steps of a movement, at most the trained ones; 0: the trained length
    # conditions: a .npy file of raw ones [n, D], or a table of `python -m platform.data conditions`, whose row ids then
    # stand beside the samples; empty: those of training movements
    cond: str = ""
    # source of the recordings that samples are to be like; null: as the training movements whose conditions are drawn
    source: str | None = None
    # preset of the keys below, which go before it; null: none; a distilled model keeps its own network calls
    quality: Annotated[str, Choice(QUALITY_NAMES)] | None = None
    # null, here and below: as the checkpoint was evaluated; solver of the reverse process
    sampler: Annotated[str, Choice(SAMPLER_NAMES)] | None = None
    spacing: Annotated[str, Choice(SPACING_NAMES)] | None = None  # at which noise levels the network is called
    steps: PositiveInt | None = None  # network calls per sample
    guidance: FiniteFloat | None = None  # 1: the conditional model; more: away from the unconditional one
    eta: Share | None = None  # share of the ancestral sampler's fresh noise
    inpaint: bool | None = None  # hold the net displacement to the requested one at every step
    align: bool | None = None  # turn and scale each sample onto the requested net displacement
    # samples of each condition, of which one is drawn by the checkpoint's selector (`python -m platform.selector`)
    candidates: Candidates | None = None
    seed: AnyInt = 0  # seed of noise and conditions
    device: str = "cpu"  # torch device
    # file formats to write
    format: Annotated[tuple[Annotated[str, Choice(FORMAT_NAMES)], ...], Length()] = ("npy", "parquet")
    out_dir: str = "generated"  # folder to write

    def __post_init__(self) -> None:
        check(self)

    @property
    def changes(self) -> SamplingChanges:
        """Return the changes to the checkpoint's own sampling."""
        return SamplingChanges(**{field.name: getattr(self, field.name) for field in fields(SamplingChanges)})
