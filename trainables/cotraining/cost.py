"""Measure what a co-training will cost on this machine: what both models cost alone, spread over its epochs."""

from trainables.cotraining.config import CotrainingConfig
from trainables.diffusion import cost as diffusion
from trainables.physical import cost as physical
from trainables.training.trainable import Cost


def measure(config: CotrainingConfig) -> Cost:
    """Time steps and samples of both models; the exchanged movements cost what as many evaluated ones do."""
    one, other = diffusion.measure(config.of_diffusion()), physical.measure(config.of_physical())
    generated = 1.0 if config.weight > 0 else config.alpha
    fits = config.fit_epochs + config.cycles * (1.0 + generated * (config.fit_epochs + 1))
    fit_s = fits * other.step_s * other.steps_per_epoch
    trained = config.warmup_epochs + config.cycles * config.epochs_per_cycle
    training_s = trained * one.epoch_s + fit_s + (1 + config.cycles) * other.evaluation_s
    return Cost(
        step_s=one.step_s,
        steps_per_epoch=one.steps_per_epoch,
        evaluation_s=max(training_s / config.epochs - one.steps_per_epoch * one.step_s, one.evaluation_s),
        checkpoint_bytes=2 * one.checkpoint_bytes + other.checkpoint_bytes,
    )
