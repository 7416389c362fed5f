"""The teacher of a distillation: a trained diffusion, the path of its samples, and what makes it none.

Its sampler is DDIM without fresh noise at equally spaced diffusion times, the noisiest first: halving their number
leaves every second one, so that the times of every student are among the teacher's. Self-conditioning is left out: with
an estimate from the call before, a step would be no function of x_t.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.core.config import build, plain, require
from trainables.data.config import DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion.api import Generator, generator_of
from trainables.diffusion.config import DiffusionConfig, EarlyStoppingConfig
from trainables.diffusion.models.unet1d import UNet1D
from trainables.diffusion.origins import differences, require_alike
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.sampling import sampling_times
from trainables.diffusion.state import KIND
from trainables.distillation.config import DistillConfig
from trainables.generation.selection.config import ReweightConfig
from trainables.training.checkpoint import CheckpointError, load_checkpoint_of, select, weights_that_fit
from trainables.training.checkpoint_record import DISTILLATION, require_same_data

SAMPLER, SPACING = "ddim", "trailing"


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained diffusion as a student begins.

    Attributes:
        config: Of its training.
        generator: Samples along the path that is distilled; its network takes no estimates.
        autoencoder: Tensors of the autoencoder of a diffusion of latents; none otherwise.
        weights_sha256: Hash of its checkpoint's tensors.
    """

    config: DiffusionConfig
    generator: Generator
    autoencoder: Mapping[str, Tensor]
    weights_sha256: str

    def student_config(self, config: DistillConfig, calls: int) -> DiffusionConfig:
        """Return the configuration of a diffusion that samples as a student of so many network calls."""
        return replace(
            self.config,
            seed=config.seed,
            epochs=config.epochs,
            steps_per_epoch=config.steps_per_epoch,
            batch_size=config.batch_size,
            data=config.data,
            model=replace(self.config.model, self_condition=False),
            init_from="",
            reweight=ReweightConfig(),
            contrastive=ContrastiveConfig(),
            optim=config.optim,
            early_stopping=EarlyStoppingConfig(),
            sampling=replace(self.generator.sampling, steps=calls, guidance=1.0),
            evaluation=config.evaluation,
        )


def load_teacher(config: DistillConfig, splits: DataSplits, device: torch.device) -> Teacher:
    """Return the teacher of a distillation on these data.

    Raises:
        ConfigError: None is named, it predicts no v, was trained with other keys of `data`, or has fewer diffusion
            times than `teacher_calls`.
        CheckpointError: It is no whole checkpoint of a diffusion of the same data, or distilled itself.
    """
    law, remedy = "`teacher` to be the checkpoint folder of a diffusion", "set trainable.teacher=CHECKPOINT"
    require(bool(config.teacher), law, "teacher=''", remedy)
    checkpoint = Path(config.teacher)
    tensors, record = load_checkpoint_of(KIND, checkpoint)
    if DISTILLATION in record:
        raise CheckpointError(f"{checkpoint}: expected a teacher, but got a distilled model; give the teacher of it")
    with weights_that_fit(checkpoint):
        own, generator = build(DiffusionConfig, record["config"]), generator_of(record, tensors, device)
    objective = own.diffusion.objective
    require(objective == "v", "a teacher of diffusion.objective=v", objective, "train one that predicts v")
    _require_same_form(config.data, record["config"]["data"])
    require_same_data(checkpoint, record, splits.sha256)
    path = replace(generator.sampling, sampler=SAMPLER, spacing=SPACING, steps=config.teacher_calls, eta=0.0)
    sampling_times(path, generator.schedule, generator.prediction)
    bare = replace(generator, model=without_estimates(generator.model).to(device).eval(), sampling=path)
    return Teacher(own, bare, select("autoencoder", tensors), record["weights_sha256"])


def without_estimates(model: torch.nn.Module) -> UNet1D:
    """Return the network without an input for estimates: what a self-conditioned one computes where there is none."""
    assert isinstance(model, UNet1D)
    bare, tensors = UNet1D(replace(model.config, self_condition=False)), model.state_dict()
    tensors["stem.weight"] = tensors["stem.weight"][..., : model.config.channels]
    bare.load_state_dict(tensors)
    return bare.requires_grad_(False)


def _require_same_form(mine: DataConfig, recorded: Mapping[str, Any]) -> None:
    """Raise ConfigError unless the data are read as those of the teacher were; where they lie may differ."""
    require_alike([*differences(plain(mine), plain(build(DataConfig, recorded)), "data")], "the data of the teacher")
