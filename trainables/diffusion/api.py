"""Samples from a trained model: conditions in, canonical movements out.

A checkpoint carries what sampling needs beside the weights: the standardisation, the canonical form, and the conditions
of the training part, from which conditions are drawn when none are asked for.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainables.checkpoint import CheckpointError, load_checkpoint, select
from trainables.config import ConfigError, build, require
from trainables.data.canonical import (
    CONDITION_NAMES,
    MINIMUM_DISTANCE_PX,
    MINIMUM_STEPS,
    RATE_HZ,
    Canonical,
    CanonicalConfig,
    prefix_mask,
    with_deltas,
)
from trainables.data.dataset import DataParts, Statistics
from trainables.diffusion.models.unet1d import UNet1D, UNetConfig
from trainables.diffusion.noise.schedule import SCHEDULES, Schedule
from trainables.diffusion.samplers import SAMPLERS, guided, initial_noise
from trainables.seeding import generator

CHECKPOINT_VARIABLE = "HUMOUSE_CHECKPOINT"
CHUNK = 128  # samples per network call: larger chunks leave the cache of a CPU core


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a sample is asked to match: raw values per row, and the direction it is placed in.

    Attributes:
        raw: Columns as in `CONDITION_NAMES` (natural logarithms of seconds, pixels, and path over distance).
        angle: Direction on the screen, radians; it decides how the sample meets the pixel grid, not its shape.
    """

    raw: Float[Tensor, "N D"]
    angle: Float[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.raw)

    def frame(self, config: CanonicalConfig, group: tuple[str, ...] | None = None) -> Canonical:
        """Empty canonical movements of the asked duration, distance and direction.

        Raises:
            ConfigError: a condition is not finite or asks for a movement that the canonical form cannot hold.
        """
        require(bool(torch.isfinite(self.raw).all()), "`conditions are finite`", "NaN or infinity in a condition")
        duration_s, distance_px, path_ratio = self.raw.double().exp().unbind(dim=1)
        shortest, nearest, straightest = (float(values.min()) for values in (duration_s, distance_px, path_ratio))
        least_s = MINIMUM_STEPS / RATE_HZ
        require(round(shortest * RATE_HZ) >= MINIMUM_STEPS, f"`duration >= {least_s:.3f} s`", f"{shortest:.3f} s")
        require(nearest >= MINIMUM_DISTANCE_PX - 1e-6, f"`distance >= {MINIMUM_DISTANCE_PX:g} px`", f"{nearest:.3f} px")
        require(straightest >= 1 - 1e-6, "`path length >= distance`", f"a path of {straightest:.3f} distances")
        mask = frame_mask(duration_s, config)
        deltas = torch.zeros(*mask.shape, 2, dtype=torch.float64)
        return Canonical(deltas, mask, self.angle.double(), distance_px, duration_s, group or ("sample",) * len(self))


def frame_mask(duration_s: Float[Tensor, "N"], config: CanonicalConfig) -> Tensor:
    """Valid steps of movements of the asked durations: all T over normalised time, the 60 Hz length otherwise."""
    if config.representation != "fixed_dt":
        return torch.ones(len(duration_s), config.sequence_length, dtype=torch.bool)
    length = (duration_s * RATE_HZ).round().long()
    longest = int(length.max()) if len(length) else 0
    require(
        longest <= config.sequence_length,
        f"`duration <= {config.sequence_length / RATE_HZ:.3f} s` (T={config.sequence_length} steps at {RATE_HZ:g} Hz)",
        f"{longest / RATE_HZ:.3f} s",
        "ask for shorter movements or a longer seq_len",
    )
    return prefix_mask(length, config.sequence_length)


def conditions_of(canonical: Canonical) -> Conditions:
    """The conditions that real movements were made under."""
    return Conditions(canonical.condition(), canonical.angle)


@dataclass(frozen=True, eq=False)
class Generator:
    """A denoiser with everything that turns its output into movements."""

    model: nn.Module
    schedule: Schedule
    statistics: Statistics
    canonical: CanonicalConfig
    known: Conditions

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.model.parameters()).device

    def like(self, real: Canonical, *, seed: int, steps: int = 20, guidance: float = 1.0) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept."""
        frame = with_deltas(real, torch.zeros_like(real.deltas))
        z = torch.cat([*self.stream(conditions_of(real), frame, seed=seed, steps=steps, guidance=guidance)])
        return with_deltas(frame, self.statistics.denormalise(z, frame))

    def draw_conditions(self, count: int, seed: int, longest: int | None = None) -> Conditions:
        """Conditions of training movements (of at most `longest` steps), drawn with replacement."""
        length = (self.known.raw[:, 0].exp() * RATE_HZ).round()
        rows = torch.arange(len(self.known)) if longest is None else (length <= longest).nonzero().squeeze(1)
        require(len(rows) > 0, "`seq_len >= the shortest known movement`", f"seq_len={longest}")
        chosen = rows[torch.randint(len(rows), (count,), generator=generator(seed, "conditions"))]
        return Conditions(self.known.raw[chosen], self.known.angle[chosen])

    @torch.no_grad()
    def stream(
        self,
        conditions: Conditions,
        frame: Canonical,
        *,
        seed: int,
        steps: int = 20,
        guidance: float = 1.0,
        sampler: str = "ddim",
    ) -> Iterator[Float[Tensor, "M T C"]]:
        """Standardised samples chunk by chunk, zero under the mask; row i depends on (seed, i, condition i) alone."""
        require(sampler in SAMPLERS, f"`sampler` in {{{', '.join(SAMPLERS)}}}", f"sampler={sampler}")
        self.model.eval()
        for first in range(0, len(conditions), CHUNK):
            rows = slice(first, first + CHUNK)
            mask = frame.mask[rows].to(self.device)
            condition = self.statistics.normalise_condition(conditions.raw[rows]).to(self.device)
            noise = initial_noise(len(mask), mask.shape[1], frame.deltas.shape[2], seed, first).to(self.device)
            velocity = guided(self.model, mask, condition, guidance)
            yield (SAMPLERS[sampler](velocity, self.schedule, noise, steps) * mask[..., None]).cpu()


def generator_record(parts: DataParts) -> dict[str, Tensor]:
    """The tensors that a checkpoint carries for sampling: statistics and known conditions."""
    known = conditions_of(parts["train"])
    statistics = {f"statistics.{name}": value for name, value in vars(parts.statistics).items()}
    return {**statistics, "known.raw": known.raw, "known.angle": known.angle}


def load_generator(checkpoint: Path, device: torch.device | str = "cpu") -> Generator:
    """The averaged weights of a diffusion checkpoint, ready to sample.

    Raises:
        CheckpointError: not a whole diffusion checkpoint, or its weights do not fit its own configuration.
    """
    tensors, record = load_checkpoint(checkpoint)
    if record.get("kind") != "diffusion":
        raise CheckpointError(f"{checkpoint}: a checkpoint of kind `diffusion` is needed, but got {record.get('kind')}")
    try:
        config = record["config"]
        model = UNet1D(build(UNetConfig, unet_mapping(config["model"])))
        model.load_state_dict(select("ema", tensors))
        statistics = Statistics(**select("statistics", tensors))
        known = Conditions(tensors["known.raw"], tensors["known.angle"])
        schedule = SCHEDULES[config["diffusion"]["schedule"]](config["diffusion"]["timesteps"])
        canonical = build(CanonicalConfig, config["data"]["canonical"])
    except (KeyError, RuntimeError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"{checkpoint}: weights and configuration do not fit: {str(error).splitlines()[0]}"
        ) from None
    return Generator(model.to(device).eval(), schedule, statistics, canonical, known)


def unet_mapping(model: Mapping[str, Any]) -> dict[str, Any]:
    """The UNet's configuration from the `model` section of a run's configuration."""
    return {"channels": 2, "condition_dim": len(CONDITION_NAMES), **model}


def generate_diffusion_samples(
    n: int,
    seq_len: int,
    cond: Float[Tensor, "N D"] | None = None,
    device: torch.device | str = "cpu",
    steps: int = 20,
    seed: int | None = None,
    *,
    checkpoint: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "N T C"]:
    """Standardised canonical deltas of `n` generated movements, float32 [n, seq_len, C], zero after their last step.

    Args:
        n: Number of movements, at least 1.
        seq_len: T; with fixed 60 Hz steps any length that holds the asked durations, else the trained length.
        cond: Raw conditions [n, 3], columns as in `CONDITION_NAMES`; None draws those of training movements.
        device: Where the network computes.
        steps: Network calls per sample.
        seed: Same seed, same samples; None takes a fresh one.
        checkpoint: Checkpoint folder; None reads the environment variable HUMOUSE_CHECKPOINT.
        progress: Called with the number of finished samples after every chunk.

    Raises:
        ConfigError: n, seq_len, steps or cond break their laws, or no checkpoint is named.
        CheckpointError: the checkpoint cannot be used.
    """
    where = checkpoint or os.environ.get(CHECKPOINT_VARIABLE)
    require(bool(where), "`checkpoint` or the variable HUMOUSE_CHECKPOINT names a folder", "neither")
    require(n >= 1, "`n >= 1`", f"n={n}")
    source = load_generator(Path(str(where)), device)
    config = source.canonical
    if config.representation != "fixed_dt":
        require(seq_len == config.sequence_length, f"`seq_len == {config.sequence_length}`", f"seq_len={seq_len}")
    config = CanonicalConfig(config.representation, seq_len)
    seed = secrets.randbits(31) if seed is None else seed
    conditions = source.draw_conditions(n, seed, seq_len) if cond is None else _asked(cond, n, source, seed)
    frame = conditions.frame(config)
    chunks: list[Tensor] = []
    for chunk in source.stream(conditions, frame, seed=seed, steps=steps):
        chunks.append(chunk)
        if progress is not None:
            progress(min(len(chunks) * CHUNK, n))
    return torch.cat(chunks)


def _asked(cond: Tensor, n: int, source: Generator, seed: int) -> Conditions:
    expected = (n, len(CONDITION_NAMES))
    require(tuple(cond.shape) == expected, f"`cond.shape == {expected}`", str(tuple(cond.shape)))
    return Conditions(cond.detach().cpu().double(), source.draw_conditions(n, seed).angle)
