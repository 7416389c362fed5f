"""Properties of sampling from an adversarial checkpoint: what a sample depends on, and what is refused."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.frames import FRAMES
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.gan.api import GanGenerator, load_gan
from trainables.gan.config import GanConfig, GanModelConfig
from trainables.gan.state import initial_state, save_state
from trainables.generation.blocks import WINDOW
from trainables.generation.conditions import Conditions, conditions_of
from trainables.training.checkpoint import RECORD, CheckpointError, load_checkpoint, save_checkpoint
from trainables.training.worker import ALONE

CONFIG = GanConfig(model=GanModelConfig(widths=(8, 12), latent_dim=4, noise_channels=2, embedding_dim=16))


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


@pytest.fixture(scope="module")
def checkpoint(splits: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    save_state(initial_state(CONFIG, splits.statistics, ALONE), CONFIG, splits, folder)
    return folder


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> GanGenerator:
    return load_gan(checkpoint)


@pytest.fixture(scope="module")
def human(splits: DataSplits) -> Canonical:
    """Movements whose conditions are sampled, more than one call of the network takes."""
    return splits["train"].take(torch.arange(WINDOW + 10))


def samples(source: GanGenerator, real: Canonical, seed: int = 1, conditions: Conditions | None = None) -> Tensor:
    return torch.cat([*source.stream(conditions or conditions_of(real), real, seed=seed)])


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert float(expected.abs().max()) > 0.1
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5)


def test_a_loaded_generator_samples_as_the_saved_one(source: GanGenerator, splits: DataSplits) -> None:
    network = initial_state(CONFIG, splits.statistics, ALONE).ema.model
    fresh = GanGenerator(network, CONFIG.model, source.statistics, source.canonical, source.training_conditions)
    real = splits["validation"].take(torch.arange(9))
    assert torch.equal(fresh.sample_matching(real, seed=3).deltas, source.sample_matching(real, seed=3).deltas)


@pytest.mark.parametrize("n", [1, 5, 33])
def test_a_sample_does_not_depend_on_the_number_of_samples(source: GanGenerator, human: Canonical, n: int) -> None:
    """All of them go through more than one call of the network and more than one window."""
    assert_close(samples(source, human.take(torch.arange(n))), samples(source, human)[:n])


def test_samples_are_numbered(source: GanGenerator, human: Canonical) -> None:
    real = human.take(torch.arange(40))
    rest = source.stream(conditions_of(real).take(slice(30, 40)), real.take(torch.arange(30, 40)), seed=1, first=30)
    assert_close(next(rest), samples(source, real)[30:])


def test_rows_of_different_seeds_and_numbers_share_calls(source: GanGenerator, human: Canonical) -> None:
    given, keys = conditions_of(human), [(row % 3, 5 * row) for row in range(len(human))]
    together = source.rows(given, human, keys)
    for row in (0, 7, WINDOW + 9):
        mine, (seed, number) = torch.tensor([row]), keys[row]
        alone = source.stream(given.take(mine), human.take(mine), seed=seed, first=number)
        assert_close(torch.cat([*alone]), together[mine])


def test_nothing_can_be_chosen_about_its_sampling(source: GanGenerator) -> None:
    source.sampling_with(SamplingChanges())
    law = "expected no sampler for a GAN, which samples in one network call"
    with pytest.raises(ConfigError, match=rf"{law}, but got steps=4, guidance=2.0; leave it out"):
        source.sampling_with(SamplingChanges(steps=4, guidance=2.0))


def test_a_sample_depends_on_its_own_condition_alone(source: GanGenerator, human: Canonical) -> None:
    real = human.take(torch.arange(8))
    given = conditions_of(real)
    raw = given.raw.clone()
    raw[3, 1] += 0.5
    before, after = samples(source, real), samples(source, real, conditions=replace(given, raw=raw))
    changed = (before - after).abs().flatten(1).amax(dim=1) > 1e-4
    assert changed.tolist() == [row == 3 for row in range(8)]


def test_a_target_width_is_matched_only_if_it_was_learnt(source: GanGenerator, human: Canonical) -> None:
    real = human.take(torch.arange(8))
    wide = replace(real, target_width_px=torch.full((8,), 40.0, dtype=torch.float64))
    learnt = replace(source, training_conditions=conditions_of(wide))
    for known, differs in ((learnt, True), (source, False)):
        same = torch.isclose(
            known.sample_matching(wide, seed=0).deltas, known.sample_matching(real, seed=0).deltas, rtol=0.0, atol=1e-5
        )
        assert bool((~same).flatten(1).any(dim=1).all()) is differs


def test_a_source_is_matched_if_it_was_learnt(source: GanGenerator, human: Canonical) -> None:
    real = human.take(torch.arange(8))
    found = [
        source.sample_matching(replace(real, source=(name,) * 8), seed=0).deltas
        for name in ("cursory", "sapimouse", "another", "a third")
    ]
    assert torch.equal(found[2], found[3])
    for one, other in itertools.combinations(found[:3], 2):
        assert bool((~torch.isclose(one, other, rtol=0.0, atol=1e-5)).flatten(1).any(dim=1).all())


def test_an_older_checkpoint_without_sources_is_loaded(splits: DataSplits, tmp_path: Path) -> None:
    statistics = replace(splits.statistics, sources=())
    save_state(initial_state(CONFIG, statistics, ALONE), CONFIG, splits, tmp_path / "new")
    tensors, record = load_checkpoint(tmp_path / "new")
    del tensors["known.source"], record["sources"]
    save_checkpoint(tmp_path / "old", tensors, record)
    model = load_gan(tmp_path / "old")
    assert model.training_conditions.sources == ()
    assert bool(model.sample_matching(splits["validation"].take(torch.arange(4)), seed=0).deltas.isfinite().all())


def test_samples_are_the_seeds_and_no_two_rows_share_their_noise(source: GanGenerator, human: Canonical) -> None:
    given = human.take(torch.zeros(4, dtype=torch.int64))
    assert torch.equal(samples(source, given), samples(source, given))
    drawn = torch.cat([samples(source, given), samples(source, given, seed=2)])
    assert len({tuple(row.flatten().tolist()) for row in drawn}) == 8


def test_samples_are_movements_that_the_validator_takes(source: GanGenerator, splits: DataSplits) -> None:
    """Each of the requested duration, direction and group, nothing after its last step."""
    held_out = splits["validation"]
    validator = Validator.fit(
        held_out, splits["train"], CONFIG.data.canonical, EvaluationConfig(movements=60, folds=2, probes=("features",))
    )
    fake = source.sample_matching(validator.held_out, seed=0)
    assert torch.equal(fake.mask, validator.held_out.mask)
    assert (fake.group, fake.source) == (validator.held_out.group, validator.held_out.source)
    assert not fake.deltas[~fake.mask].any()
    assert 0.0 <= validator(fake)["val/auc_excess"] <= 1.0


def test_conditions_are_sampled_from_the_training_users(source: GanGenerator, splits: DataSplits) -> None:
    drawn = source.draw_conditions(200, seed=0, longest=20)
    known = {tuple(row) for row in splits["train"].condition()[:, :4].tolist()}  # the width of a target may be unknown
    assert all(tuple(row) in known for row in drawn.raw[:, :4].tolist())
    assert float(drawn.raw[:, 0].exp().max()) * 60 < 20.5
    assert not torch.equal(drawn.angle, source.draw_conditions(200, seed=1, longest=20).angle)
    with pytest.raises(ConfigError, match="seq_len=2"):
        source.draw_conditions(5, seed=0, longest=2)


def test_a_length_above_its_own_is_refused_and_a_shorter_one_is_not(source: GanGenerator) -> None:
    assert source.canonical_at(40).sequence_length == 40
    own = source.canonical.sequence_length
    with pytest.raises(ConfigError, match=f"^expected `seq_len <= {own}`, the length of the model, but got seq_len="):
        source.canonical_at(own + 1)


def test_a_checkpoint_of_another_kind_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    tensors, record = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "other", tensors, {**record, "kind": "diffusion"})
    with pytest.raises(CheckpointError, match="kind `gan`, but got diffusion"):
        load_gan(tmp_path / "other")


@pytest.mark.parametrize("missing", ["ema.head", "statistics.mean", "known.angle"])
def test_a_checkpoint_without_a_part_is_refused(checkpoint: Path, tmp_path: Path, missing: str) -> None:
    tensors, record = load_checkpoint(checkpoint)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(missing)}
    save_checkpoint(tmp_path / "part", kept, record)
    with pytest.raises(CheckpointError, match="weights and configuration do not fit"):
        load_gan(tmp_path / "part")


def test_weights_of_other_sizes_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    tensors, record = load_checkpoint(checkpoint)
    record["config"]["model"]["latent_dim"] = 5
    save_checkpoint(tmp_path / "wide", tensors, record)
    with pytest.raises(CheckpointError, match="weights and configuration do not fit"):
        load_gan(tmp_path / "wide")
    assert json.loads((checkpoint / RECORD).read_text())["config"]["model"]["latent_dim"] == 4


@pytest.mark.parametrize("frame", FRAMES)
def test_the_direction_is_a_condition_in_frames_that_leave_a_rest_of_it(frame: str, tmp_path: Path) -> None:
    """Up to half turns, which have the same condition; along the chord no bit of the network's output knows it."""
    config = replace(CONFIG, data=DataConfig(frame=frame))
    splits = load_splits(config.data)
    save_state(initial_state(config, splits.statistics, ALONE), config, splits, tmp_path / "checkpoint")
    source, real = load_gan(tmp_path / "checkpoint"), splits["validation"].take(torch.arange(12))
    assert source.statistics.frame == frame
    own = conditions_of(real)
    one, turned, opposite = (
        samples(source, real, conditions=replace(own, angle=own.angle + by)) for by in (0.0, 1.0, math.pi)
    )
    assert torch.equal(one, turned) is (frame == "chord")
    assert_close(opposite, one)
