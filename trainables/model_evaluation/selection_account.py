"""Account of a selection among candidates: what it costs, how many candidates it leaves, and what it was fitted to.

A probe of columns that the selector was fitted to says little of a selected sample: such columns were made alike. The
account therefore says of each probe whether the selector has seen its columns, and the figures of the others count.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.eval.generation.report import Numbers
from trainables.generation.selection.resampling import effective_candidates
from trainables.generation.selection.selector import Selector

SEEN, SAME_KIND, UNSEEN = "seen", "same kind, other kernels", "not seen"
DETECTOR = "detector"


def selection_account(selector: Selector, sampling: SamplingConfig, weights: Sequence[Float[Tensor, "N K"]]) -> Numbers:
    """Return plain values for the report: candidates, effective ones, network calls, probes, and the fit.

    Args:
        weights: Of the candidates of all samples.
    """
    effective = effective_candidates(torch.cat([*weights]).numpy())
    return {
        "candidates": sampling.candidates,
        "effective_candidates": float(effective.mean()),
        "calls_per_movement": sampling.steps * sampling.candidates,
        "probes": {**{probe: seen_by(selector, probe) for probe in HEADLINE_PROBES}, DETECTOR: UNSEEN},
        "rounds": selector.rounds,
        "selector_sha256": selector.record["weights_sha256"],
        "sources": list(selector.record["sources"]),
        "columns": list(selector.groups),
        "max_ratio": selector.record["config"]["max_ratio"],
        "fitted": dict(selector.record["fitted"]),
    }


def seen_by(selector: Selector, probe: str) -> str:
    """Return whether the selector was fitted to the columns of a probe of the headline."""
    if probe not in selector.groups:
        return UNSEEN
    return SAME_KIND if probe == "convolutions" else SEEN


def probes_of(account: Mapping[str, Any], *states: str) -> str:
    """Return the names of the probes in one of these states, as text."""
    return ", ".join(probe for probe, state in account["probes"].items() if state in states) or "none"
