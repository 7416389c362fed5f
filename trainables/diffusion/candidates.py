"""Candidates of a diffusion: its selector, which holds for the sampling that it was fitted to."""

from trainables.core.config import ConfigError, build, plain, require
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.generation.selection.selector import Selector


def fitting_selector(selector: Selector | None, sampling: SamplingConfig) -> Selector:
    """Return the selector of a checkpoint, for several candidates of this sampling.

    Raises:
        ConfigError: There is none, or it was fitted to samples of other settings.
    """
    if selector is None:
        law = "a checkpoint with a selector for candidates > 1"
        remedy = "fit one with `python -m platform.selector ckpt=FOLDER`, or leave candidates out"
        raise ConfigError(f"expected {law}, but got candidates={sampling.candidates} and none; {remedy}")
    fitted = plain(build(SamplingConfig, selector.sampling)) | {"candidates": sampling.candidates}
    other = ", ".join(f"{key}={value}" for key, value in plain(sampling).items() if value != fitted[key])
    law = "with candidates > 1 the sampling that the selector was fitted to"
    require(not other, law, other, "leave it out, or fit the selector again with it (sampling.KEY=VALUE)")
    return selector
