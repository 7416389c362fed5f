"""Sampling from a checkpoint: what a sample depends on, its requested conditions, and refused input."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from trainables.core.config import ConfigError, plain
from trainables.data.canonical import Canonical, decode, reobserve, with_deltas
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.splits.statistics import fit_statistics
from trainables.diffusion.api import (
    CHECKPOINT_VARIABLE,
    CHUNK,
    WINDOW,
    Conditions,
    Generator,
    SamplingConfig,
    conditions_of,
    generate_diffusion_samples,
    load_generator,
)
from trainables.diffusion.config import DiffusionConfig, ModelConfig, MotionConfig, OptimConfig
from trainables.diffusion.latents.autoencoder import Autoencoder
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.samplers import SAMPLERS, SPACINGS
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.diffusion.state import initial_state, save_state
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.training.checkpoint import (
    RECORD,
    WEIGHTS,
    CheckpointError,
    file_sha256,
    load_checkpoint,
    save_checkpoint,
)
from trainables.training.worker import ALONE

CONFIG = DiffusionConfig(
    epochs=1,
    steps_per_epoch=6,
    batch_size=16,
    model=ModelConfig(base_channels=16),
    optim=OptimConfig(lr=1e-2, warmup_steps=0),
    sampling=SamplingConfig(steps=2),
    evaluation=EvaluationConfig(movements=40, folds=2, probes=("features",)),
)
LONGEST_S = 64 / 60


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a briefly trained model."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    *_, last = epochs(CONFIG)
    last.save(folder)
    return folder


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> Generator:
    return load_generator(checkpoint)


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


def conditions_for(n: int, seed: int = 0) -> Tensor:
    """Raw conditions: 0.2 to 1 s, 20 to 900 px, paths up to 1.5 times the distance, turning 1 to 11 rad, no width."""
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    columns = [0.2 + 0.8 * u[:, 0], 20 * 45 ** u[:, 1], 1 + u[:, 2] / 2, 2 + 10 * u[:, 3]]
    return torch.stack([*columns, torch.full_like(u[:, 0], math.nan)], dim=1).log()


def samples(checkpoint: Path, n: int = 4, seq_len: int = 64, **options: Any) -> Tensor:
    return generate_diffusion_samples(n, seq_len, **{"steps": 2, "seed": 1, "checkpoint": checkpoint, **options})


def assert_same(found: Tensor, expected: Tensor) -> None:
    """To the last bit, and not for want of anything to compare."""
    assert float(expected.abs().max()) > 0.1
    assert torch.equal(found, expected)


SETTINGS = [
    *(SamplingConfig(name, spacing, steps=3) for name in SAMPLERS for spacing in SPACINGS),
    SamplingConfig("ddim", steps=3, eta=1.0),
    SamplingConfig(steps=3, guidance=2.0),
    SamplingConfig(steps=3, inpaint=True),
]
settings = pytest.mark.parametrize("sampling", SETTINGS, ids=lambda c: "-".join(str(v) for v in vars(c).values()))


# what a sample depends on


def test_samples_are_the_seeds(checkpoint: Path) -> None:
    assert torch.equal(samples(checkpoint), samples(checkpoint))
    for cond in (None, conditions_for(4)):
        assert not torch.equal(samples(checkpoint, cond=cond, seed=1), samples(checkpoint, cond=cond, seed=2))


def test_without_a_seed_samples_differ(checkpoint: Path) -> None:
    cond = conditions_for(4)
    assert not torch.equal(samples(checkpoint, cond=cond, seed=None), samples(checkpoint, cond=cond, seed=None))


@pytest.mark.parametrize("n", [1, 5, 33])
def test_a_sample_does_not_depend_on_the_number_of_samples(checkpoint: Path, n: int) -> None:
    """With conditions drawn or given; all of them go through more than one call of the network."""
    many, cond = CHUNK + 10, conditions_for(CHUNK + 10)
    assert_same(samples(checkpoint, n), samples(checkpoint, many)[:n])
    assert_same(samples(checkpoint, n, cond=cond[:n]), samples(checkpoint, many, cond=cond)[:n])


def rows_of(source: Generator, first: int, count: int, sampling: SamplingConfig) -> Tensor:
    """Samples number `first` to `first + count - 1` of one long request of 0.2 to 2 s, cut to two widths."""
    raw = conditions_for(WINDOW + 40)
    raw[::2, 0] += math.log(2.0)
    raw[17, 0] = math.log(64 / 60)  # alone it has no padded step of its own
    mine = Conditions(raw, torch.zeros(len(raw), dtype=torch.float64)).take(torch.arange(first, first + count))
    frame = mine.frame(replace(source.canonical, sequence_length=120))
    return torch.cat([*source.stream(mine, frame, seed=1, sampling=sampling, first=first)])


@settings
def test_a_sample_is_the_same_to_the_last_bit_alone_and_in_any_company(
    source: Generator, sampling: SamplingConfig
) -> None:
    """Of one row, of a few, and of more than one window, where it stands at other places among other rows."""
    everything = rows_of(source, 0, WINDOW + 40, sampling)
    for first, count in ((0, 1), (17, 1), (255, 3), (100, 196)):
        assert_same(rows_of(source, first, count, sampling), everything[first : first + count])


def test_rows_of_different_seeds_and_numbers_share_calls_and_are_the_same_to_the_last_bit(source: Generator) -> None:
    conditions = Conditions(conditions_for(CHUNK + 12), torch.zeros(CHUNK + 12, dtype=torch.float64))
    frame = conditions.frame(source.canonical_at(60))
    keys = [(row % 3, 5 * row) for row in range(len(conditions))]
    sampling = SamplingConfig("ddim", steps=2, eta=1.0)
    together = source.rows(conditions, frame, keys, sampling)
    for row in (0, 7, 100, CHUNK + 11):
        mine = torch.tensor([row])
        (seed, number), stream = keys[row], source.stream
        alone = stream(conditions.take(mine), frame.take(mine), seed=seed, first=number, sampling=sampling)
        assert_same(torch.cat([*alone]), together[mine])


@pytest.mark.parametrize("steps", [64, 51])
def test_canonical_deltas_and_pixels_are_the_same_to_the_last_bit_in_any_company(source: Generator, steps: int) -> None:
    """At an odd length too, where rows begin anywhere in what a processor computes at once."""
    conditions, form = source.draw_conditions(200, seed=1, longest=steps), source.canonical_at(steps)
    frame = conditions.frame(form)
    z = source.rows(conditions, frame, [(1, row) for row in range(200)], SamplingConfig(steps=1)) * 2
    deltas = source.statistics.denormalise(z, frame)
    pixels = decode(with_deltas(frame, deltas), form).steps_px
    for first, count in ((0, 1), (3, 1), (17, 5), (100, 99)):
        rows = torch.arange(first, first + count)
        alone = conditions.take(rows).frame(form)
        assert torch.equal(source.statistics.denormalise(z[rows], alone), deltas[rows])
        assert torch.equal(decode(with_deltas(alone, deltas[rows]), form).steps_px, pixels[rows])
    assert float(deltas.abs().max()) > 0.1


def test_given_conditions_are_placed_by_their_number(source: Generator) -> None:
    whole = source.training_conditions.given(conditions_for(30), seed=4)
    assert_same(source.training_conditions.given(conditions_for(30)[10:], seed=4, first=10).angle, whole.angle[10:])
    assert torch.equal(whole.angle, source.draw_conditions(30, seed=4).angle)


def test_changes_of_the_sampling_keep_the_other_evaluated_settings(source: Generator) -> None:
    assert source.sampling_with(SamplingChanges()) == source.sampling
    assert source.sampling_with(SamplingChanges(steps=7)) == replace(source.sampling, steps=7)
    latent = replace(source, decoder=Autoencoder(2, LatentConfig(enabled=True)))
    for changed, changes, message in (
        (source, SamplingChanges(steps=1001), "steps <= timesteps"),
        (source, SamplingChanges(eta=0.5), "eta = 0"),
        (latent, SamplingChanges(inpaint=True), "set inpaint=false"),
    ):
        with pytest.raises(ConfigError, match=message):
            changed.sampling_with(changes)


def test_two_threads_change_nothing_of_that(source: Generator) -> None:
    torch.set_num_threads(2)
    try:
        together = rows_of(source, 100, 40, SamplingConfig(steps=1))
        for first, count in ((117, 1), (125, 3)):
            found = rows_of(source, first, count, SamplingConfig(steps=1))
            assert_same(found, together[first - 100 : first - 100 + count])
    finally:
        torch.set_num_threads(1)


def test_no_two_samples_share_their_noise(checkpoint: Path) -> None:
    """Nor do two of the same condition, wherever in the request they stand."""
    many = CHUNK + 10
    z = samples(checkpoint, many, cond=conditions_for(1).expand(many, -1).contiguous())
    assert len({tuple(row.flatten().tolist()) for row in z}) == many


def test_a_sample_does_not_depend_on_the_conditions_of_its_batch_mates(checkpoint: Path) -> None:
    cond, others = conditions_for(6), conditions_for(6, seed=1)
    mixed = torch.cat([cond[:2], others[2:]])
    found, expected = samples(checkpoint, 6, cond=mixed), samples(checkpoint, 6, cond=cond)
    assert_same(found[:2], expected[:2])
    assert not torch.allclose(found[2:], expected[2:])


def test_room_behind_the_last_step_changes_nothing(checkpoint: Path) -> None:
    """Noise is drawn for all T steps in the order of time, so the valid ones have theirs at any T."""
    cond = conditions_for(5)
    cond[:, 0] = torch.linspace(0.2, 0.6, 5, dtype=cond.dtype).log()
    longer = samples(checkpoint, 5, 64, cond=cond)
    assert not bool(longer[:, 40:].any())
    assert_same(longer[:, :40], samples(checkpoint, 5, 40, cond=cond))


def test_the_condition_changes_the_sample(checkpoint: Path) -> None:
    cond = conditions_for(4)
    farther = cond + torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    assert not torch.allclose(samples(checkpoint, cond=farther), samples(checkpoint, cond=cond))


# requested conditions


def test_samples_have_the_requested_duration(checkpoint: Path) -> None:
    cond = conditions_for(40)
    z = samples(checkpoint, 40, cond=cond)
    assert z.dtype == torch.float32
    assert z.shape == (40, 64, 2)
    assert bool(torch.isfinite(z).all())
    for row, duration_s in zip(z, cond[:, 0].exp().tolist(), strict=True):
        length = round(duration_s * 60)
        assert bool((row[:length] != 0).any(dim=1).all())
        assert not bool(row[length:].any())


def test_sampled_conditions_are_those_of_training_movements_that_fit(source: Generator, splits: DataSplits) -> None:
    def together(conditions: Conditions) -> set[tuple[float, ...]]:
        rows = zip(conditions.raw[:, :-1].tolist(), conditions.angle.tolist(), strict=True)
        return {(*raw, angle) for raw, angle in rows}

    known = together(conditions_of(splits["train"]))
    for longest in (None, 64, 20):
        drawn = source.draw_conditions(300, seed=0, longest=longest)
        assert together(drawn) <= known
        steps = (drawn.raw[:, 0].exp() * 60).round()
        assert int(steps.max()) <= (longest or 64)
    assert len(together(source.draw_conditions(300, seed=0))) > 200
    with pytest.raises(ConfigError, match=r"^expected `seq_len >= the shortest known movement`.*seq_len=3"):
        source.draw_conditions(1, seed=0, longest=3)


def test_the_frame_of_real_conditions_is_that_of_the_real_movements(splits: DataSplits) -> None:
    real = splits["validation"]
    frame = conditions_of(real).frame(CanonicalConfig(), real.group)
    assert torch.equal(frame.mask, real.mask)
    assert torch.equal(frame.angle, real.angle)
    torch.testing.assert_close(frame.distance_px, real.distance_px, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(frame.duration_s, real.duration_s.double(), rtol=1e-6, atol=0.0)
    assert not bool(frame.deltas.any())
    assert frame.group == real.group


def test_samples_like_real_movements_keep_their_frame(source: Generator, splits: DataSplits) -> None:
    real = splits["validation"].take(torch.arange(30))
    fake = source.sample_matching(real, seed=3, steps=2)
    for name in ("mask", "angle", "distance_px", "duration_s"):
        assert torch.equal(getattr(fake, name), getattr(real, name))
    assert (fake.group, fake.source) == (real.group, real.source)
    assert not bool(fake.deltas[~fake.mask].any())
    assert not torch.allclose(fake.deltas, real.deltas)
    first = source.sample_matching(real.take(torch.arange(7)), seed=3, steps=2)
    assert torch.equal(first.deltas, fake.deltas[:7])


def test_samples_can_be_taken_back_to_the_screen(source: Generator, splits: DataSplits) -> None:
    real = splits["validation"].take(torch.arange(30))
    observed, rows = reobserve(source.sample_matching(real, seed=3, steps=2), source.canonical)
    net = observed.deltas.sum(dim=1)
    assert len(rows) == len(observed) > 0
    torch.testing.assert_close(net, torch.tensor([1.0, 0.0]).double().expand_as(net), rtol=0.0, atol=1e-9)


def test_guidance_one_is_no_guidance(source: Generator, splits: DataSplits) -> None:
    real = splits["validation"].take(torch.arange(5))
    default = source.sample_matching(real, seed=0, steps=2).deltas
    one, two = (
        source.sample_matching(real, seed=0, sampling=SamplingConfig(steps=2, guidance=w)).deltas for w in (1.0, 2.0)
    )
    assert torch.equal(default, one)
    assert not torch.allclose(default, two)


@pytest.fixture(scope="module")
def of_steps_alone(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """A briefly trained model without a channel of motion, whose whole pixels would move the end."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    *_, last = epochs(replace(CONFIG, motion=MotionConfig(channel=False, ends=False)))
    last.save(folder)
    return load_generator(folder)


@pytest.mark.parametrize("inpaint", [False, True])
def test_inpainted_samples_end_at_the_requested_point(
    of_steps_alone: Generator, splits: DataSplits, inpaint: bool
) -> None:
    """Before pixels are rounded; the briefly trained model alone misses by far."""
    real = splits["validation"].take(torch.arange(30))
    fake = of_steps_alone.sample_matching(real, seed=0, sampling=SamplingConfig(steps=4, inpaint=inpaint))
    missed = (fake.deltas.sum(dim=1) - torch.tensor([1.0, 0.0])).norm(dim=1)
    assert bool((missed < 1e-4).all()) is inpaint
    assert not bool(fake.deltas[~fake.mask].any())


def test_fresh_noise_comes_from_the_seed(source: Generator, splits: DataSplits) -> None:
    real, noisy = splits["validation"].take(torch.arange(5)), SamplingConfig("ddim", steps=3, eta=1.0)
    first, again, other = (source.sample_matching(real, seed=seed, sampling=noisy).deltas for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first, source.sample_matching(real, seed=0, steps=3).deltas)


def test_progress_counts_finished_samples(checkpoint: Path) -> None:
    seen: list[int] = []
    samples(checkpoint, 2 * WINDOW + 3, progress=seen.append)
    assert seen == [WINDOW, 2 * WINDOW, 2 * WINDOW + 3]


def test_the_checkpoint_may_come_from_the_environment(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKPOINT_VARIABLE, str(checkpoint))
    assert torch.equal(samples(checkpoint), generate_diffusion_samples(4, 64, steps=2, seed=1))


# target widths


@pytest.fixture(scope="module")
def wide(splits: DataSplits) -> Canonical:
    """The training movements, every other one with a target of 10 to 80 px."""
    width_px = torch.linspace(10.0, 80.0, len(splits["train"]), dtype=torch.float64)
    width_px[::2] = math.nan
    return replace(splits["train"], target_width_px=width_px)


@pytest.fixture(scope="module")
def of_widths(splits: DataSplits, wide: Canonical, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint, untrained but with a non-zero head, of a training split with widths."""
    folder = tmp_path_factory.mktemp("wide") / "checkpoint"
    state = initial_state(CONFIG, ALONE, splits.statistics.condition_width)
    torch.nn.init.normal_(state.ema.model.get_parameter("head.weight"), std=0.1)
    wide_splits = replace(splits, splits={**splits.splits, "train": wide}, statistics=fit_statistics(wide, 0.25))
    save_state(state, CONFIG, wide_splits, folder)
    return folder


def test_known_widths_are_restored_from_a_checkpoint_and_sampled(of_widths: Path, wide: Canonical) -> None:
    known = load_generator(of_widths).training_conditions
    torch.testing.assert_close(known.raw, wide.condition(), rtol=0.0, atol=0.0, equal_nan=True)
    drawn = load_generator(of_widths).draw_conditions(200, seed=0).raw[:, -1]
    assert 60 < int(drawn.isnan().sum()) < 140  # 100 +- 7: six standard deviations
    assert bool(torch.isfinite(samples(of_widths, 20)).all())


def test_each_width_and_an_unknown_one_have_samples_of_their_own(of_widths: Path) -> None:
    """Under the same seed and the same other conditions; an unknown one is not that of the mean."""
    mean = load_generator(of_widths).statistics.condition_mean[-1].item()
    found = []
    for width in (math.nan, mean, math.log(12.0), math.log(70.0)):
        cond = conditions_for(4)
        cond[:, -1] = width
        found.append(samples(of_widths, cond=cond))
        assert bool(torch.isfinite(found[-1]).all())
        assert torch.equal(samples(of_widths, cond=cond), found[-1])
    for one, other in itertools.combinations(found, 2):
        assert float((one - other).abs().flatten(1).amax(dim=1).min()) > 1e-4


def test_a_width_matters_only_to_a_model_trained_with_widths(
    of_widths: Path, source: Generator, splits: DataSplits
) -> None:
    real = splits["validation"].take(torch.arange(6))
    wide = replace(real, target_width_px=torch.full((6,), 40.0, dtype=torch.float64))
    for model, counts in ((load_generator(of_widths), True), (source, False)):
        plain, aimed = (model.sample_matching(human, seed=0, steps=2) for human in (real, wide))
        assert torch.equal(plain.deltas, aimed.deltas) is not counts
        assert torch.equal(aimed.target_width_px, wide.target_width_px)


def test_an_invalid_width_is_refused(checkpoint: Path, of_widths: Path) -> None:
    for folder, width, law in (
        (checkpoint, 3.0, "expected unknown target widths for a model whose training split has none, but got a width"),
        (of_widths, math.inf, "expected `0 < target width < inf px`, but got inf px; an unknown target width is NaN"),
        (of_widths, -math.inf, "expected `0 < target width < inf px`, but got 0 px; an unknown target width is NaN"),
    ):
        cond = conditions_for(4)
        cond[2, -1] = width
        with pytest.raises(ConfigError) as exc_info:
            samples(folder, cond=cond)
        assert str(exc_info.value).startswith(law)
    with pytest.raises(
        ConfigError, match=r"^expected `columns == 5` \(log_duration_s, .* an unknown target width is NaN$"
    ):
        Conditions(conditions_for(2)[:, :4], torch.zeros(2, dtype=torch.float64)).check(CanonicalConfig())


# sources


@pytest.fixture(scope="module")
def of_sources(splits: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint, untrained but with a non-zero head, whose condition has a column of each source."""
    folder = tmp_path_factory.mktemp("sources") / "checkpoint"
    state = initial_state(CONFIG, ALONE, splits.statistics.condition_width)
    torch.nn.init.normal_(state.ema.model.get_parameter("head.weight"), std=0.1)
    save_state(state, CONFIG, splits, folder)
    return folder


def test_samples_of_a_source_are_under_the_conditions_of_its_movements(of_sources: Path, splits: DataSplits) -> None:
    model, train = load_generator(of_sources), splits["train"]
    for name in ("cursory", "sapimouse"):
        drawn = model.of_source(name).draw_conditions(200, seed=0)
        assert set(drawn.frame(CanonicalConfig()).source) == {name}
        rows = [row for row, source in enumerate(train.source) if source == name]
        assert set(drawn.angle.tolist()) <= set(train.angle[rows].tolist())
    assert set(model.of_source(None).draw_conditions(200, seed=0).frame(CanonicalConfig()).source) == {
        "cursory",
        "sapimouse",
    }


def test_each_source_and_an_unknown_one_have_samples_of_their_own(of_sources: Path, splits: DataSplits) -> None:
    """Under the same seed and the same other conditions; a source that was not trained on is an unknown one."""
    real, model, found = splits["validation"].take(torch.arange(4)), load_generator(of_sources), {}
    for name in ("cursory", "sapimouse", "another", "a third"):
        found[name] = model.sample_matching(replace(real, source=(name,) * 4), seed=0, steps=2).deltas
    assert_same(found.pop("a third"), found["another"])
    for one, other in itertools.combinations(found.values(), 2):
        assert float((one - other).abs().flatten(1).amax(dim=1).min()) > 1e-5


def test_given_conditions_are_of_the_requested_source_or_of_drawn_ones(of_sources: Path) -> None:
    model = load_generator(of_sources)
    assert len(set(model.given_conditions(conditions_for(60), 60, 0).source.tolist())) == 2
    found = {name: samples(of_sources, cond=conditions_for(4), source=name) for name in ("cursory", "sapimouse")}
    assert not torch.equal(found["cursory"], found["sapimouse"])
    assert_same(samples(of_sources, cond=conditions_for(4), source="cursory"), found["cursory"])


def test_an_unknown_source_is_refused_with_the_known_ones(of_sources: Path, tmp_path: Path) -> None:
    law = r"^expected `source` in \{cursory, sapimouse\}, but got source=balabit; choose one that it was trained on"
    with pytest.raises(ConfigError, match=law):
        samples(of_sources, source="balabit")


def test_an_older_checkpoint_names_no_source_and_samples(splits: DataSplits, tmp_path: Path) -> None:
    plain = replace(splits, statistics=replace(splits.statistics, sources=()))
    save_state(initial_state(CONFIG, ALONE), CONFIG, plain, tmp_path / "new")
    tensors, record = load_checkpoint(tmp_path / "new")
    del tensors["known.source"], record["sources"]
    save_checkpoint(tmp_path / "old", tensors, record)
    model = load_generator(tmp_path / "old")
    assert (model.statistics.sources, model.training_conditions.sources) == ((), ())
    assert set(model.draw_conditions(20, seed=0).frame(CanonicalConfig()).source) == {"sample"}
    assert bool(torch.isfinite(samples(tmp_path / "old")).all())
    with pytest.raises(ConfigError, match=r"^expected no `source` of a model that names none, but got source=cursory"):
        samples(tmp_path / "old", source="cursory")


# what was saved is what samples


def test_a_loaded_generator_samples_as_the_one_in_training_did(splits: DataSplits, tmp_path: Path) -> None:
    """The validation metrics of an epoch can be measured again from its checkpoint, to the last bit."""
    *_, last = epochs(CONFIG)
    last.save(tmp_path / "checkpoint")
    validator = Validator.fit(splits["validation"], splits["train"], CanonicalConfig(), CONFIG.evaluation)
    fake = load_generator(tmp_path / "checkpoint").sample_matching(
        validator.held_out, seed=CONFIG.evaluation.seed, sampling=CONFIG.sampling
    )
    for name, value in validator(fake).items():
        assert last.metrics[name] == value


def test_a_checkpoint_carries_the_statistics_and_conditions_of_its_training_split(
    source: Generator, splits: DataSplits
) -> None:
    for name, value in splits.statistics.tensors().items():
        assert torch.equal(getattr(source.statistics, name), value)
    assert torch.equal(source.training_conditions.raw[:, :-1], splits["train"].measured_condition())
    assert bool(source.training_conditions.raw[:, -1].isnan().all())
    assert torch.equal(source.training_conditions.angle, splits["train"].angle)
    assert source.statistics.sources == source.training_conditions.sources == ("cursory", "sapimouse")
    assert source.training_conditions.frame(CanonicalConfig()).source == splits["train"].source
    assert (source.canonical, len(source.schedule)) == (CanonicalConfig(), 1000)
    assert not source.model.training


# what is refused


def test_invalid_requests_are_refused(checkpoint: Path) -> None:
    too_long, not_finite = conditions_for(4), conditions_for(4)
    too_long[2, 0] = math.log(LONGEST_S + 2 / 60)
    not_finite[1, 1] = float("nan")
    for options, law in (
        ({"n": 0}, "expected `n >= 1`, but got n=0"),
        ({"cond": conditions_for(3)}, "expected `cond.shape == (4, 5)` (log_duration_s, "),
        ({"cond": conditions_for(4)[:, :4]}, "expected `cond.shape == (4, 5)` (log_duration_s, "),
        ({"cond": not_finite}, "expected `conditions` to be finite"),
        ({"cond": too_long}, "expected `duration <= 1.067 s` (T=64 steps at 60 Hz), but got 1.100 s"),
        ({"seq_len": 7}, "expected `seq_len >= 8`, but got seq_len=7"),
        ({"seq_len": 65}, "expected `seq_len <= 64`, the length of the model, but got seq_len=65; leave it out"),
        ({"steps": 0}, "expected `steps >= 1`, but got steps=0"),
        ({"steps": 1001}, "expected `1 <= steps <= timesteps`, but got steps=1001"),
    ):
        with pytest.raises(ConfigError) as exc_info:
            samples(checkpoint, **options)
        assert str(exc_info.value).startswith(law)
        assert "\n" not in str(exc_info.value)


def test_someone_must_name_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECKPOINT_VARIABLE, raising=False)
    with pytest.raises(
        ConfigError, match=r"^expected `checkpoint` or the variable HUMOUSE_CHECKPOINT to name a folder"
    ):
        generate_diffusion_samples(1, 64)


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"sampler": "euler"}, "expected `sampler` in {ddim, dpmpp_2m}, but got sampler=euler"),
        ({"spacing": "even"}, "expected `spacing` in {log_snr, trailing}, but got spacing=even"),
        ({"steps": 0}, "expected `steps >= 1`, but got steps=0"),
        ({"guidance": math.nan}, "expected `guidance` to be finite, but got guidance=nan"),
        ({"eta": 1.5}, "expected `0 <= eta <= 1`, but got eta=1.5"),
        ({"eta": 0.5, "sampler": "dpmpp_2m"}, "expected `eta = 0` unless `sampler = ddim`, but got eta=0.5"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        SamplingConfig(**values)
    assert str(exc_info.value).startswith(law)


@pytest.mark.parametrize("name", ["ema.stem.weight", "statistics.mean", "known.raw"])
def test_weights_that_are_no_numbers_are_refused(checkpoint: Path, tmp_path: Path, name: str) -> None:
    """`save_checkpoint` never writes them, so they are put into the file behind its back."""
    tensors, record = load_checkpoint(checkpoint)
    tensors[name].view(-1)[0] = math.nan
    (tmp_path / "other").mkdir()
    save_file(tensors, tmp_path / "other" / WEIGHTS)
    known = {**record, "weights_sha256": file_sha256(tmp_path / "other" / WEIGHTS)}
    (tmp_path / "other" / RECORD).write_text(json.dumps(known))
    with pytest.raises(CheckpointError) as exc_info:
        load_generator(tmp_path / "other")
    assert str(exc_info.value).startswith(f"{tmp_path / 'other'}: {name} holds NaN or infinity")


def test_a_truncated_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    whole, known = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "other", whole, known)
    weights = tmp_path / "other" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"truncated or altered file"):
        load_generator(tmp_path / "other")


@pytest.mark.parametrize(
    ("tensors", "record", "reason"),
    [
        ({}, {"kind": "critic"}, "expected a checkpoint of kind `diffusion`, but got critic"),
        (
            {},
            {"config": plain(replace(CONFIG, model=ModelConfig(base_channels=32)))},
            "weights and configuration do not fit",
        ),
        ({"known.raw": None}, {}, "weights and configuration do not fit"),
        ({"ema.stem.weight": None}, {}, "weights and configuration do not fit"),
        ({"statistics.more": torch.zeros(2)}, {}, "weights and configuration do not fit"),
    ],
    ids=["kind", "width", "conditions", "weights", "statistics"],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    checkpoint: Path, tmp_path: Path, tensors: dict[str, Tensor | None], record: dict[str, Any], reason: str
) -> None:
    whole, known = load_checkpoint(checkpoint)
    changed = {name: tensor for name, tensor in {**whole, **tensors}.items() if tensor is not None}
    save_checkpoint(tmp_path / "other", changed, {**known, **record})
    with pytest.raises(CheckpointError) as exc_info:
        load_generator(tmp_path / "other")
    assert str(exc_info.value).startswith(f"{tmp_path / 'other'}: {reason}")
    assert "\n" not in str(exc_info.value)


def test_an_altered_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    whole, known = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "other", whole, known)
    (tmp_path / "other" / RECORD).write_text(json.dumps({**known, "weights_sha256": "0"}))
    with pytest.raises(CheckpointError, match="do not match their record"):
        load_generator(tmp_path / "other")


def test_conditions_count_their_rows() -> None:
    assert len(Conditions(conditions_for(5), torch.zeros(5, dtype=torch.float64))) == 5


@pytest.mark.parametrize(
    ("column", "value", "law"),
    [
        (0, math.log(0.02), "duration >="),
        (0, math.log(9.0), "duration <="),
        (1, math.log(1.0), "distance >="),
        (2, math.log(0.5), "path length >="),
        (3, -0.5, "turning >= 0 rad"),
        (1, math.nan, "finite"),
    ],
)
def test_a_condition_that_no_movement_can_meet_is_refused(
    checkpoint: Path, column: int, value: float, law: str
) -> None:
    cond = torch.tensor([[math.log(0.5), math.log(300.0), math.log(1.1), math.log(4.0), math.nan]] * 2)
    cond[1, column] = value
    with pytest.raises(ConfigError, match=law):
        generate_diffusion_samples(2, 64, cond, steps=1, seed=0, checkpoint=checkpoint)


@pytest.mark.parametrize("section", ["config", "diffusion", "canonical"])
def test_a_record_without_its_parts_is_a_checkpoint_error(checkpoint: Path, tmp_path: Path, section: str) -> None:
    tensors, record = load_checkpoint(checkpoint)
    if section == "config":
        del record["config"]
    elif section == "diffusion":
        record["config"]["diffusion"]["schedule"] = "unheard-of"
    else:
        record["config"]["data"]["canonical"]["sequence_length"] = -1
    save_checkpoint(tmp_path / "other", tensors, record)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_generator(tmp_path / "other")
