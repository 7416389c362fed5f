"""Samples from a trained model: conditions in, canonical movements out.

A checkpoint carries what sampling needs beside the weights: the standardisation, the canonical form, and the conditions
of the training split, from which conditions are sampled when none are given.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trainables.core.config import build, require
from trainables.data.canonical import Canonical, decode, with_deltas
from trainables.data.config import CONDITION_NAMES, CanonicalConfig
from trainables.data.splits.statistics import Statistics
from trainables.diffusion.candidates import (
    BEST_CANDIDATES,
    BEST_CANDIDATES_DISTILLED,
    best_sampling,
    fitting_selector,
)
from trainables.diffusion.config import recorded_motion
from trainables.diffusion.end_point_inpainting import end_point_correction
from trainables.diffusion.latents.autoencoder import Autoencoder
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.models.config import UNetConfig, unet_mapping
from trainables.diffusion.models.unet1d import UNet1D
from trainables.diffusion.motion import without_motion
from trainables.diffusion.noise.schedule import PREDICTIONS, Prediction, Schedule, schedule_of
from trainables.diffusion.samplers import Correction
from trainables.diffusion.sampling import draw_sample, sampling_times
from trainables.diffusion.sampling_config import BEST, CALL_KEYS, SamplingChanges, SamplingConfig, preset
from trainables.generation.alignment import aligned
from trainables.generation.blocks import CHUNK, WINDOW, Block, blocks
from trainables.generation.conditions import (
    WIDTH_REMEDY,
    Conditions,
    conditions_of,
    form_at,
    matching_conditions,
    restored,
)
from trainables.generation.keyed_noise import keyed_noise
from trainables.generation.selection.resampling import repeated
from trainables.generation.selection.selector import Selector, load_selector
from trainables.training.checkpoint import load_checkpoint_of, select, weights_that_fit
from trainables.training.checkpoint_record import DISTILLATION

__all__ = [
    "CHECKPOINT_VARIABLE",
    "CHUNK",
    "WINDOW",
    "Conditions",
    "Generator",
    "SamplingConfig",
    "conditions_of",
    "generate_diffusion_samples",
    "load_generator",
    "unet_mapping",
]

CHECKPOINT_VARIABLE = "HUMOUSE_CHECKPOINT"
DEFAULT_STEPS = 20  # of `generate_diffusion_samples`


@dataclass(frozen=True, eq=False)
class Generator:
    """A denoiser with everything that turns its output into movements.

    Attributes:
        decoder: Back from the space of the diffusion; None if that is the space of the sequences.
        prediction: Output of the network.
        sampling: Default sampling: that of the training's evaluation.
        motion: Whether the diffusion has a channel of still or moving beside the steps.
        distilled: Whether the network was trained for the network calls of `sampling` alone.
        selector: Ratio that draws one of several candidates; None where none was fitted.
        on_weights: Called with the weights of the candidates of each row, wherever some are drawn from.
    """

    model: nn.Module
    schedule: Schedule
    statistics: Statistics
    canonical: CanonicalConfig
    training_conditions: Conditions
    decoder: Autoencoder | None = None
    prediction: Prediction = PREDICTIONS["v"]
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    motion: bool = False
    distilled: bool = False
    selector: Selector | None = None
    on_weights: Callable[[Float[Tensor, "N K"]], object] | None = None

    @property
    def device(self) -> torch.device:
        """Return the device of the network."""
        return next(self.model.parameters()).device

    def sample_matching(
        self, real: Canonical, *, seed: int, steps: int | None = None, sampling: SamplingConfig | None = None
    ) -> Canonical:
        """One sample per movement of `real`, under its condition; groups are kept. `steps` goes before `sampling`'s."""
        frame = with_deltas(real, torch.zeros_like(real.deltas))
        conditions = matching_conditions(real, self.training_conditions)
        z = torch.cat([*self.stream(conditions, frame, seed=seed, steps=steps, sampling=sampling)])
        return with_deltas(frame, self.statistics.denormalise(z, frame))

    def canonical_at(self, sequence_length: int) -> CanonicalConfig:
        """The canonical form at another length T.

        Raises:
            ConfigError: a longer one than the trained one, or a shorter one in a form without padding.
        """
        return form_at(self.canonical, sequence_length)

    def given_conditions(self, raw: Float[Tensor, "N D"], count: int, seed: int) -> Conditions:
        """Return `count` given conditions in the directions of training movements.

        Raises:
            ConfigError: another number of rows or columns, or a target width for a model trained without any.
        """
        expected = (count, len(CONDITION_NAMES))
        law = f"`cond.shape == {expected}` ({', '.join(CONDITION_NAMES)})"
        require(tuple(raw.shape) == expected, law, str(tuple(raw.shape)), WIDTH_REMEDY)
        return self.training_conditions.given(raw, seed)

    def of_source(self, name: str | None) -> "Generator":
        """The same generator with the training conditions of one source alone; None: of all.

        Raises:
            ConfigError: a source that it was not trained on.
        """
        known = self.training_conditions
        return self if name is None else replace(self, training_conditions=known.of_source(name))

    def draw_conditions(self, count: int, seed: int, longest: int | None = None) -> Conditions:
        """Conditions of training movements (of at most `longest` steps), drawn with replacement."""
        return self.training_conditions.draw(count, seed, longest)

    def stream(
        self,
        conditions: Conditions,
        frame: Canonical,
        *,
        seed: int,
        steps: int | None = None,
        sampling: SamplingConfig | None = None,
        first: int = 0,
    ) -> Iterator[Float[Tensor, "M T C"]]:
        """Standardised samples, `WINDOW` rows at a time, zero under the mask.

        Row i is sample number first + i and depends on (seed, first + i, condition i) alone, whatever else is asked
        for: on CPUs to the last bit.

        Raises:
            ConfigError: more steps than diffusion times, or end points held where steps are no displacements.
            SamplingDivergedError: the network gives NaN or infinity.
        """
        sampling = sampling or self.sampling
        sampling = sampling if steps is None else replace(sampling, steps=steps)
        for rows in torch.arange(len(conditions)).split(WINDOW):
            keys = [(seed, number) for number in (rows + first).tolist()]
            yield self.rows(conditions.take(rows), frame.take(rows), keys, sampling)

    def sampling_with(
        self, changes: SamplingChanges, quality: str | None = None, conditions: Conditions | None = None
    ) -> SamplingConfig:
        """Return the sampling of the training's evaluation with these changes, which go before those of a preset.

        Args:
            quality: A key of `QUALITIES`; None: no preset.
            conditions: Of the sources asked for; `best` takes candidates where the selector was fitted to all of them.

        Raises:
            ConfigError: they break a law, ask for more steps than there are diffusion times or for other network calls
                than a distilled model was trained for, hold end points where steps are no displacements, or ask for
                candidates without a selector that was fitted to such samples.
        """
        sampling = changes.over(preset(quality, self.distilled).over(self.sampling))
        if quality == BEST:
            candidates = BEST_CANDIDATES_DISTILLED if self.distilled else BEST_CANDIDATES
            sampling = best_sampling(self.selector, sampling, changes, conditions, candidates)
        self._require_own_calls(sampling)
        sampling_times(sampling, self.schedule, self.prediction)
        if sampling.inpaint:
            self._require_displacements()
        if sampling.candidates > 1:
            fitting_selector(self.selector, sampling)
        return sampling

    def require_selectable(self, conditions: Conditions, sampling: SamplingConfig | None = None) -> None:
        """Raise ConfigError where several candidates are asked for and a row is of a source without a ratio."""
        sampling = sampling or self.sampling
        if sampling.candidates > 1:
            fitting_selector(self.selector, sampling).require_sources(conditions)

    @property
    def batch_invariant(self) -> bool:
        """Whether no bit of a row depends on what is computed together with it: on CPUs alone."""
        return self.device.type == "cpu"

    def rows(
        self,
        conditions: Conditions,
        frame: Canonical,
        keys: Sequence[tuple[int, int]],
        sampling: SamplingConfig | None = None,
    ) -> Float[Tensor, "N T C"]:
        """Standardised samples, zero under the mask; row i depends on its key (seed, number) and condition alone.

        Rows of different seeds share network calls. Of several candidates per row one is drawn by the selector
        (`trainables.generation.selection.resampling`); candidate 0 is the sample of a row without selection.

        Raises:
            ConfigError: more steps than diffusion times, other network calls than a distilled model was trained for,
                end points held where steps are no displacements, or several candidates without a selector for these
                conditions and this sampling.
            SamplingDivergedError: the network gives NaN or infinity.
        """
        sampling = sampling or self.sampling
        if sampling.candidates == 1:
            return self._single(conditions, frame, keys, sampling)
        self.require_selectable(conditions, sampling)
        rows = torch.arange(len(conditions)).repeat_interleave(sampling.candidates)
        everyone, of_rows = repeated(keys, sampling.candidates), frame.take(rows)
        z = self._single(conditions.take(rows), of_rows, everyone, sampling)
        form = self.canonical_at(frame.mask.shape[1])
        movements = decode(with_deltas(of_rows, self.statistics.denormalise(z, of_rows)), form)
        chosen, weights = fitting_selector(self.selector, sampling).chosen(movements, conditions, keys)
        if self.on_weights is not None:
            self.on_weights(weights)
        return z[torch.arange(len(conditions)) * sampling.candidates + chosen]

    def _single(
        self, conditions: Conditions, frame: Canonical, keys: Sequence[tuple[int, int]], sampling: SamplingConfig
    ) -> Float[Tensor, "N T C"]:
        """Return one standardised sample per row."""
        self.model.eval()
        self._require_own_calls(sampling)
        ends = None
        if self.statistics.ends:
            conditions = conditions.with_drawn_ends(self.training_conditions, keys)
            ends = conditions.ends
        z = torch.zeros(*frame.mask.shape, len(self.statistics.mean) + self.motion)
        for block in blocks(frame.mask, self.canonical.form.padded):
            sample = self._sample(block, conditions, frame, keys, sampling)
            z[block.rows[: block.real], : block.width] = sample[: block.real, : z.shape[1]].cpu()
        if self.motion:
            return without_motion(z, frame, self.statistics, ends, sampling.align)
        return aligned(z, frame, self.statistics) if sampling.align else z

    @torch.inference_mode()
    def _sample(
        self,
        block: Block,
        conditions: Conditions,
        frame: Canonical,
        keys: Sequence[tuple[int, int]],
        sampling: SamplingConfig,
    ) -> Float[Tensor, "R W C"]:
        """The samples of one block, its filling included."""
        mask = block.mask_of(frame.mask, self.canonical.form.padded).to(self.device)
        inner = mask if self.decoder is None else self.decoder.latent_mask(mask)
        channels = len(self.statistics.mean) + self.motion if self.decoder is None else self.decoder.channels
        given = conditions.take(block.rows)
        source = given.source_in(self.statistics.sources)
        condition = self.statistics.normalise_condition(given.raw, source, given.angle, given.ends).to(self.device)
        mine = [keys[row] for row in block.rows.tolist()]

        def noise(*purpose: str | int) -> Tensor:
            return keyed_noise(mine, inner.shape[1], channels, *purpose).to(self.device)

        correct = self._correction(mask, self.statistics.net_px(frame)[block.rows]) if sampling.inpaint else None
        z = draw_sample(self.model, self.schedule, self.prediction, inner, condition, noise, sampling, correct)
        return z if self.decoder is None else self.decoder.decode(z, mask)

    def _correction(self, mask: Bool[Tensor, "R W"], end_px: Float[Tensor, "R 2"]) -> Correction:
        self._require_displacements()
        return end_point_correction(self.statistics, mask, end_px)

    def _require_own_calls(self, sampling: SamplingConfig) -> None:
        """Raise ConfigError for other network calls than those that a distilled model was trained for."""
        if not self.distilled:
            return
        for key in CALL_KEYS:
            own, asked = getattr(self.sampling, key), getattr(sampling, key)
            law, remedy = f"`{key} = {own}` of this distilled model", "leave it out, or ask the model's teacher"
            require(asked == own, law, f"{key}={asked}", remedy)

    def _require_displacements(self) -> None:
        """Raise ConfigError unless the steps are displacements, which holding end points needs."""
        require(self.decoder is None, "`inpaint` only with a diffusion of steps", "one of latents", "set inpaint=false")


def load_generator(checkpoint: Path, device: torch.device | str = "cpu") -> Generator:
    """The averaged weights of a diffusion checkpoint, ready to sample.

    Raises:
        CheckpointError: not a whole diffusion checkpoint, its weights do not fit its own configuration, or a tensor
            holds NaN or infinity, or its selector is damaged or that of another checkpoint.
    """
    tensors, record = load_checkpoint_of("diffusion", checkpoint)
    with weights_that_fit(checkpoint):
        generator = generator_of(record, tensors, torch.device(device))
    return replace(generator, selector=load_selector(checkpoint, record["weights_sha256"]))


def generator_of(record: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device) -> Generator:
    """Return the generator with the averaged weights among the tensors of a checkpoint, in its configuration."""
    config = record["config"]
    canonical = build(CanonicalConfig, config["data"]["canonical"])
    statistics, known = restored(tensors, record)
    decoder, process = _decoder(config, tensors), config["diffusion"]
    motion = recorded_motion(config).channel is True
    channels = canonical.form.channels + motion if decoder is None else decoder.channels
    widths = {"channels": channels, "condition_dim": statistics.condition_width}
    model = UNet1D(build(UNetConfig, unet_mapping({**config["model"], **widths})))
    model.load_state_dict(select("ema", tensors))
    return Generator(
        model.to(device).eval(),
        schedule_of(process["schedule"], process["timesteps"]),
        statistics,
        canonical,
        known,
        None if decoder is None else decoder.to(device).eval(),
        PREDICTIONS[process["objective"]],
        build(SamplingConfig, {"align": False, **config["sampling"]}),  # older ones were evaluated without
        motion,
        DISTILLATION in record,
    )


def _decoder(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Autoencoder | None:
    """The autoencoder of a checkpoint of latent diffusion."""
    latent = build(LatentConfig, config.get("latent", {}))
    if not latent.enabled:
        return None
    decoder = Autoencoder(len(tensors["statistics.mean"]), latent)
    decoder.load_state_dict(select("autoencoder", tensors))
    return decoder.requires_grad_(False)


def generate_diffusion_samples(
    n: int,
    seq_len: int,
    cond: Float[Tensor, "N D"] | None = None,
    device: torch.device | str = "cpu",
    steps: int | None = None,
    seed: int | None = None,
    *,
    source: str | None = None,
    sampling: SamplingConfig | None = None,
    checkpoint: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Float[Tensor, "N T C"]:
    """Standardised canonical deltas of `n` generated movements, float32 [n, seq_len, C], zero after their last step.

    They are in the frame of the model; `Generator.statistics.denormalise` gives deltas along the chord.

    Args:
        n: Number of movements, at least 1.
        seq_len: T, at most the trained length; with fixed 60 Hz steps a shorter one that holds the requested durations.
        cond: Raw conditions [n, D], columns as in `CONDITION_NAMES`, the last NaN where no target width is given; None
            draws those of training movements.
        device: Device that the network runs on.
        steps: Network calls per sample; it replaces `sampling.steps`. None: 20, or those of a distilled checkpoint.
        seed: Same seed, same samples; None takes a fresh one.
        source: Who recorded the movements that samples are to be like; None: as the training movements whose conditions
            are drawn.
        sampling: Sampler, spacing of its steps, guidance, fresh noise, held end points; None: as in its evaluation.
        checkpoint: Checkpoint folder; None reads the environment variable HUMOUSE_CHECKPOINT.
        progress: Called with the number of finished samples every so often.

    Raises:
        ConfigError: n, seq_len, steps or cond break their laws, no checkpoint is named, or it does not know the source.
        CheckpointError: the checkpoint cannot be used.
        SamplingDivergedError: the network gives NaN or infinity.
    """
    where = checkpoint or os.environ.get(CHECKPOINT_VARIABLE)
    require(bool(where), "`checkpoint` or the variable HUMOUSE_CHECKPOINT to name a folder", "neither")
    require(n >= 1, "`n >= 1`", f"n={n}")
    model = load_generator(Path(str(where)), device).of_source(source)
    canonical = model.canonical_at(seq_len)
    seed = secrets.randbits(31) if seed is None else seed
    steps = DEFAULT_STEPS if steps is None and not model.distilled else steps
    conditions = model.draw_conditions(n, seed, seq_len) if cond is None else model.given_conditions(cond, n, seed)
    chunks: list[Tensor] = []
    for chunk in model.stream(conditions, conditions.frame(canonical), seed=seed, steps=steps, sampling=sampling):
        chunks.append(chunk)
        if progress is not None:
            progress(min(len(chunks) * WINDOW, n))
    return torch.cat(chunks)
