"""Diffusion in the latent space: one switch, nothing else changes; the checkpoint carries the decoder."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.core.config import build, plain
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator, load_generator
from trainables.diffusion.config import DiffusionConfig, ModelConfig, OptimConfig
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.diffusion.state import initial_state
from trainables.eval.generation.config import EvaluationConfig
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, select
from trainables.training.trainable import Epoch
from trainables.training.worker import ALONE

LATENT = LatentConfig(enabled=True, channels=8, width=8, groups=4, steps=3, batch_size=16)
TINY = DiffusionConfig(
    epochs=2,
    steps_per_epoch=2,
    batch_size=16,
    latent=LATENT,
    model=ModelConfig(base_channels=16),
    optim=OptimConfig(lr=1e-2, warmup_steps=1),
    sampling=SamplingConfig(steps=2),
    evaluation=EvaluationConfig(movements=40, folds=2, probes=("features",)),
)

Run = tuple[list[Epoch], list[Path]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in the latent space, saved after each epoch."""
    folder, found, saved = tmp_path_factory.mktemp("latent"), [], []
    for epoch in epochs(TINY):
        found.append(epoch)
        saved.append(folder / str(epoch.number))
        epoch.save(saved[-1])
    return found, saved


def test_every_epoch_is_evaluated_in_the_space_of_the_sequences(run: Run) -> None:
    assert [epoch.number for epoch in run[0]] == [0, 1, 2]
    assert all({names.VAL_AUC_EXCESS, names.VAL_MMD, names.VAL_LOSS} <= set(epoch.metrics) for epoch in run[0])


def test_the_untrained_network_predicts_nothing_of_latents_of_unit_variance(run: Run) -> None:
    """v has variance 1 per number; a network that answers zero misses it; within 25 % on 40 movements, seeded."""
    assert run[0][0].metrics[names.VAL_LOSS] == pytest.approx(1.0, abs=0.25)


def test_the_autoencoder_is_fitted_once_and_never_changed(run: Run) -> None:
    first, *others = (select("autoencoder", load_checkpoint(folder)[0]) for folder in run[1])
    assert first
    for other in others:
        assert all(torch.equal(other[name], tensor) for name, tensor in first.items())


def test_the_run_resumes_from_a_checkpoint_bit_for_bit(run: Run, tmp_path: Path) -> None:
    (last,) = epochs(TINY, resume=run[1][1])
    last.save(tmp_path / "last")
    found, expected = (load_checkpoint(folder)[0] for folder in (tmp_path / "last", run[1][2]))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def loaded(run: Run) -> Generator:
    return load_generator(run[1][2])


def test_a_loaded_generator_returns_sequences_that_end_with_their_mask(run: Run) -> None:
    real = load_splits(TINY.data)["validation"].take(torch.arange(150))
    generator = loaded(run)
    samples = generator.sample_matching(real, seed=3, steps=2)
    assert samples.deltas.shape == real.deltas.shape
    assert samples.deltas[~real.mask].eq(0).all()
    assert samples.deltas[real.mask].ne(0).any(dim=1).all()
    assert torch.equal(generator.sample_matching(real, seed=3, steps=2).deltas, samples.deltas)
    part = generator.sample_matching(real.take(torch.arange(5)), seed=3, steps=2)
    torch.testing.assert_close(part.deltas, samples.deltas[:5], rtol=0, atol=1e-4)


def test_without_the_switch_there_is_no_autoencoder_and_no_trace_of_one(run: Run, tmp_path: Path) -> None:
    config = replace(TINY, latent=replace(LATENT, enabled=False), epochs=1)
    state = initial_state(config, ALONE)
    assert state.autoencoder is None
    first = next(iter(epochs(config)))
    first.save(tmp_path / "plain")
    assert select("autoencoder", load_checkpoint(tmp_path / "plain")[0]) == {}
    assert load_generator(tmp_path / "plain").decoder is None


def test_a_checkpoint_without_its_autoencoder_is_refused(run: Run, tmp_path: Path) -> None:
    tensors, record = load_checkpoint(run[1][2])
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("autoencoder.")}
    save_checkpoint(tmp_path / "cut", kept, record)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_generator(tmp_path / "cut")


def test_the_network_has_the_channels_of_the_latents_whatever_those_of_the_sequences() -> None:
    events = DataConfig(canonical=CanonicalConfig("events"))
    assert replace(TINY, data=events).channels == 8
    assert replace(TINY, data=events, latent=LatentConfig()).channels == 3


def test_a_configuration_is_restored_from_its_plain_form() -> None:
    assert build(DiffusionConfig, plain(TINY)) == TINY
