"""Candidates of a diffusion: its selector, which holds for the sampling that it was fitted to."""

from dataclasses import replace

from trainables.core.config import ConfigError, build, plain, require
from trainables.diffusion.sampling_config import SamplingChanges, SamplingConfig
from trainables.generation.conditions import Conditions
from trainables.generation.selection.selector import Selector

BEST_CANDIDATES, BEST_CANDIDATES_DISTILLED = 4, 8  # of quality=best; the calls of a distilled model are few


def best_sampling(
    selector: Selector | None,
    sampling: SamplingConfig,
    changes: SamplingChanges,
    conditions: Conditions | None,
    candidates: int,
) -> SamplingConfig:
    """Return the sampling of quality=best: that of the selector with several candidates, wherever it holds.

    It holds where there is one, fitted to the sources of all conditions, and no change asks for other settings of the
    sampler than those of its fit. Elsewhere the sampling stays as it is, with one candidate unless a change says more.

    Args:
        sampling: With the preset and the changes.
        changes: What was asked for beside the preset, and goes before it.
        candidates: How many, unless a change says so.
    """
    if selector is None or conditions is None or not selector.covers(conditions):
        return sampling
    fitted = build(SamplingConfig, selector.sampling)
    agrees = replace(changes, candidates=None).over(fitted) == fitted
    return replace(fitted, candidates=changes.candidates or candidates) if agrees else sampling


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
