"""A distillation in two stages: fidelity to the teacher, resuming, checkpoints as a diffusion, what is refused."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.distillation.tiny import ROWS, TEACHER, TINY, few_everywhere, trained_teacher
from trainables import models
from trainables.core.config import ConfigError, plain
from trainables.core.seeding import generator
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.dataset import SequenceDataset
from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion.api import Generator, generate_diffusion_samples, load_generator
from trainables.diffusion.config import DiffusionConfig, MotionConfig
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.models.unet1d import UNet1D
from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.sampling_config import CALL_KEYS, QUALITIES, SamplingChanges, SamplingConfig
from trainables.distillation.config import DistillConfig
from trainables.distillation.cost import measure
from trainables.distillation.fidelity import rms_px
from trainables.distillation.state import untrained_state
from trainables.distillation.teacher import load_teacher, without_estimates
from trainables.distillation.train import Distillation, epochs, optimise
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, load_record, save_checkpoint
from trainables.training.checkpoint_record import DISTILLATION, require_not_distilled
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE

CLOCKS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
CPU = torch.device("cpu")
LAST = TINY.epochs


@pytest.fixture(scope="module", autouse=True)
def splits() -> Iterator[DataSplits]:
    yield from few_everywhere()


@pytest.fixture(scope="module")
def teacher(splits: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_teacher(tmp_path_factory.mktemp("teacher") / "checkpoint")


@pytest.fixture(scope="module")
def config(teacher: Path) -> DistillConfig:
    return replace(TINY, teacher=str(teacher))


@pytest.fixture(scope="module")
def uncut(config: DistillConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Epoch], Path]:
    """A run saved after each epoch."""
    folder, found = tmp_path_factory.mktemp("uncut"), []
    for epoch in epochs(config):
        epoch.save(folder / str(epoch.number))
        found.append(epoch)
    return found, folder


def altered(checkpoint: Path, folder: Path, **record: Any) -> Path:
    """A copy of a checkpoint with other entries of its record."""
    tensors, own = load_checkpoint(checkpoint)
    save_checkpoint(folder, tensors, {**own, **record})
    return folder


def timeless(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in CLOCKS}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


# stages


def test_each_stage_brings_the_student_nearer_to_the_teacher_at_its_calls(uncut: tuple[list[Epoch], Path]) -> None:
    found, _ = uncut
    assert [epoch.metrics[names.DISTILLATION_CALLS] for epoch in found] == [2, 2, 2, 1, 1]
    assert [epoch.milestone for epoch in found] == ["", "", "calls-2", "", "calls-1"]
    assert [names.DISTILLATION_RMS_BEFORE in epoch.metrics for epoch in found] == [False, True, False, True, False]
    for first, last in ((1, 2), (3, 4)):
        before = found[first].metrics[names.DISTILLATION_RMS_BEFORE]
        assert found[last].metrics[names.VAL_RMS_TO_TEACHER] < 0.9 * before
    assert found[0].metrics[names.VAL_RMS_TO_TEACHER] == found[1].metrics[names.DISTILLATION_RMS_BEFORE]


def test_a_student_that_does_not_move_keeps_its_distance(config: DistillConfig) -> None:
    """Else the fall in the test above could come from elsewhere."""
    still = replace(config, calls=2, epochs=1, optim=replace(config.optim, lr=1e-12))
    *_, last = epochs(still)
    before, after = last.metrics[names.DISTILLATION_RMS_BEFORE], last.metrics[names.VAL_RMS_TO_TEACHER]
    assert after == pytest.approx(before, rel=1e-3)


def test_the_untrained_student_is_the_teacher_without_estimates_in_fewer_calls(
    uncut: tuple[list[Epoch], Path], teacher: Path, splits: DataSplits
) -> None:
    real = splits["validation"].take(torch.arange(5))
    source = load_generator(teacher)
    bare = replace(source, model=without_estimates(source.model).eval())
    path = SamplingConfig("ddim", "trailing", 2, align=False)
    expected = bare.sample_matching(real, seed=1, sampling=path)
    assert torch.equal(load_generator(uncut[1] / "0").sample_matching(real, seed=1).deltas, expected.deltas)
    fed = source.sample_matching(real, seed=1, sampling=path)
    assert not torch.equal(fed.deltas, expected.deltas)


def test_a_network_without_estimates_is_the_self_conditioned_one_that_has_none(teacher: Path) -> None:
    model = load_generator(teacher).model
    assert isinstance(model, UNet1D)
    assert model.config.self_condition
    random = torch.Generator().manual_seed(0)
    x, mask = torch.randn(8, 64, 3, generator=random), torch.arange(64) < torch.arange(8, 72, 8)[:, None]
    t, condition = torch.arange(8) * 100, torch.randn(8, model.config.condition_dim, generator=random)
    with torch.no_grad():
        found, expected = without_estimates(model).eval()(x, t, mask, condition), model(x, t, mask, condition)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert float(expected.abs().max()) > 0.1


def test_guidance_is_distilled_from_the_teacher_alone(teacher: Path, config: DistillConfig, tmp_path: Path) -> None:
    own = load_record(teacher)["config"]
    guided = altered(teacher, tmp_path / "t", config={**own, "sampling": {**own["sampling"], "guidance": 2.0}})
    run = Distillation.of(replace(config, teacher=str(guided)), ALONE)
    first, second = run.config.stage_of(1), run.config.stage_of(LAST)
    state = untrained_state(run.teacher.student_config(run.config, first.calls), run.teacher, ALONE)
    assert [run.parent(state, stage).guidance for stage in (first, second)] == [2.0, 1.0]
    assert run.teacher.student_config(run.config, 1).sampling.guidance == 1.0
    assert run.teacher.generator.sampling.guidance == 2.0


def test_the_distance_is_that_of_positions_after_valid_steps(splits: DataSplits) -> None:
    real = splits["validation"].take(torch.arange(7))
    random = torch.Generator().manual_seed(0)
    moved = replace(real, deltas=real.deltas + torch.randn(real.deltas.shape, generator=random).to(real.deltas))
    squares, first, second = [], real.steps_px(), moved.steps_px()
    for row in range(7):
        x = y = 0.0
        for step in range(int(real.mask[row].sum())):
            x += float(second[row, step, 0] - first[row, step, 0])
            y += float(second[row, step, 1] - first[row, step, 1])
            squares.append(x**2 + y**2)
    assert rms_px(moved, real) == pytest.approx(math.sqrt(sum(squares) / len(squares)), rel=1e-5)
    assert rms_px(real, real) == 0.0


# resuming


@pytest.mark.parametrize("cut", range(LAST), ids=["before", "inside", "between stages", "inside the second"])
def test_a_run_resumed_at_any_epoch_equals_the_uninterrupted_one_bit_for_bit(
    uncut: tuple[list[Epoch], Path], config: DistillConfig, cut: int, tmp_path: Path
) -> None:
    found, folder = uncut
    torch.rand(77)  # what happened before in this process plays no part
    rest = []
    for epoch in epochs(config, resume=folder / str(cut)):
        rest.append(epoch.number)
        assert timeless(epoch) == timeless(found[epoch.number])
        epoch.save(tmp_path / str(epoch.number))
        expected, _ = load_checkpoint(folder / str(epoch.number))
        assert_same(load_checkpoint(tmp_path / str(epoch.number))[0], expected)
    assert rest == list(range(cut + 1, LAST + 1))
    assert not list(epochs(config, resume=folder / str(LAST)))


def test_another_distillation_is_not_resumed(uncut: tuple[list[Epoch], Path], config: DistillConfig) -> None:
    for changed, message in (
        (replace(config, weighting="snr_plus_one"), "the checkpoint is of another distillation"),
        (replace(config, teacher_calls=8, calls=2), "the checkpoint is of another distillation"),
        (replace(config, seed=1), "made with another configuration"),
        (replace(config, steps_per_epoch=13), "made with another configuration"),
    ):
        with pytest.raises(CheckpointError, match=message):
            next(epochs(changed, resume=uncut[1] / "1"))


def test_two_parts_of_a_batch_are_the_whole_of_it(config: DistillConfig) -> None:
    """The same calls and noise are drawn, and the mean of the parts' gradients is taken."""
    found = []
    for parts in (1, 2):
        run = Distillation.of(replace(config, optim=replace(config.optim, accumulate=parts)), ALONE)
        stage = run.config.stage_of(1)
        state = untrained_state(run.teacher.student_config(run.config, stage.calls), run.teacher, ALONE)
        batch = run.in_diffusion_space(
            state, SequenceDataset(run.splits["train"], run.splits.statistics)[torch.arange(16)]
        )
        random = generator(0, "a test")
        measured = optimise(state, run, run.parent(state, stage), stage, batch, None, random)
        found.append(measured)
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert found[0][names.TRAIN_LOSS] > 0


def test_a_loss_that_is_not_finite_ends_the_run(config: DistillConfig) -> None:
    run = Distillation.of(config, ALONE)
    stage = config.stage_of(1)
    state = untrained_state(run.teacher.student_config(config, stage.calls), run.teacher, ALONE)
    real = SequenceDataset(run.splits["train"], run.splits.statistics)[torch.arange(16)]
    batch = run.in_diffusion_space(state, real)
    broken = batch._replace(condition=batch.condition * math.nan)
    with pytest.raises(TrainingDivergedError, match=r"the loss is nan at step 0; lower optim.lr=0.002"):
        optimise(state, run, run.parent(state, stage), stage, broken, None, generator(0, "a test"))


# checkpoints


def test_every_checkpoint_samples_as_a_diffusion_in_its_own_calls(
    uncut: tuple[list[Epoch], Path], splits: DataSplits
) -> None:
    for number, calls in ((2, 2), (LAST, 1)):
        source = models.load_generator(uncut[1] / str(number))
        assert isinstance(source, Generator)
        own = SamplingConfig("ddim", "trailing", calls, align=False)
        assert (source.distilled, source.sampling) == (True, own)
        z = generate_diffusion_samples(3, 64, seed=1, checkpoint=uncut[1] / str(number))
        again = generate_diffusion_samples(3, 64, steps=calls, seed=1, checkpoint=uncut[1] / str(number))
        assert torch.equal(z, again)
        assert float(z.abs().max()) > 0.1


def test_a_sample_does_not_depend_on_its_company(uncut: tuple[list[Epoch], Path]) -> None:
    samples = [generate_diffusion_samples(n, 64, seed=1, checkpoint=uncut[1] / str(LAST)) for n in (3, 150)]
    assert torch.equal(samples[0], samples[1][:3])


@pytest.mark.parametrize(
    "changes",
    [
        SamplingChanges(steps=20),
        SamplingChanges(sampler="dpmpp_2m"),
        SamplingChanges(spacing="log_snr"),
        SamplingChanges(guidance=2.0),
        SamplingChanges(eta=1.0),
    ],
    ids=CALL_KEYS,
)
def test_other_calls_than_its_own_are_refused_in_one_line(
    uncut: tuple[list[Epoch], Path], changes: SamplingChanges, splits: DataSplits
) -> None:
    source = load_generator(uncut[1] / str(LAST))
    (key,) = (key for key, value in vars(changes).items() if value is not None)
    line = (
        rf"expected `{key} = .*` of this distilled model, but got {key}=.*; leave it out, or ask the model's teacher$"
    )
    with pytest.raises(ConfigError, match=line):
        source.sampling_with(changes)
    with pytest.raises(ConfigError, match=line):
        source.sample_matching(
            splits["validation"].take(torch.arange(2)), seed=0, sampling=changes.over(source.sampling)
        )


def test_presets_leave_the_calls_of_a_distilled_model_alone(uncut: tuple[list[Epoch], Path], teacher: Path) -> None:
    distilled, plain_model = load_generator(uncut[1] / str(LAST)), load_generator(teacher)
    for quality, changes in QUALITIES.items():
        assert distilled.sampling_with(SamplingChanges(), quality) == distilled.sampling
        assert plain_model.sampling_with(SamplingChanges(), quality).steps == changes.steps
        assert plain_model.sampling_with(SamplingChanges(steps=7), quality).steps == 7
    assert plain_model.sampling_with(SamplingChanges()) == plain_model.sampling


def test_the_record_names_the_teacher(uncut: tuple[list[Epoch], Path], teacher: Path) -> None:
    record = load_record(uncut[1] / str(LAST))
    assert record["kind"] == "diffusion"
    assert record[DISTILLATION] == {
        "teacher_sha256": load_record(teacher)["weights_sha256"],
        "teacher_calls": 4,
        "calls": 1,
        "last_calls": 1,
        "weighting": "truncated_snr",
    }
    with pytest.raises(CheckpointError, match=r"but got a distilled one; give the checkpoint of its teacher$"):
        require_not_distilled(uncut[1] / str(LAST), record, "to train again")
    require_not_distilled(teacher, load_record(teacher), "to train again")


@pytest.mark.parametrize(
    "form",
    [
        {"latent": LatentConfig(enabled=True, channels=4, groups=4, width=16, steps=4)},
        {"motion": MotionConfig(channel=True, ends=True)},
    ],
    ids=["latents", "motion"],
)
def test_other_spaces_than_that_of_steps_are_distilled(
    form: dict[str, Any], splits: DataSplits, tmp_path: Path
) -> None:
    """An autoencoder goes into the student's checkpoint as it was."""
    checkpoint = trained_teacher(tmp_path / "teacher", replace(TEACHER, steps_per_epoch=4, **form))
    short = replace(TINY, teacher=str(checkpoint), teacher_calls=2, epochs=1, steps_per_epoch=2)
    *_, last = epochs(short)
    last.save(tmp_path / "student")
    student, own = (load_checkpoint(tmp_path / name)[0] for name in ("student", "teacher"))
    kept = [name for name in own if name.startswith("autoencoder.")]
    assert bool(kept) == ("latent" in form)
    assert all(torch.equal(student[name], own[name]) for name in kept)
    z = generate_diffusion_samples(3, 64, seed=1, checkpoint=tmp_path / "student")
    assert bool(torch.isfinite(z).all())
    assert float(z.abs().max()) > 0.1


def test_the_cost_is_measured(config: DistillConfig) -> None:
    cost = measure(config)
    assert cost.step_s > 0
    assert cost.steps_per_epoch == config.steps_per_epoch
    assert cost.checkpoint_bytes > 0


# what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher_calls": 20}, "`teacher_calls` to be `calls` times 2, 4, 8 or another power of two"),
        ({"teacher_calls": 4, "calls": 4}, "got teacher_calls=4, calls=4; choose calls by halving teacher_calls"),
        ({"teacher_calls": 16, "calls": 3}, "got teacher_calls=16, calls=3"),
        ({"teacher_calls": 16, "calls": 2}, r"the 3 stages \(8, 4, 2 calls\) to divide `epochs`, but got epochs=4"),
        ({"teacher_calls": 1}, "`teacher_calls >= 2`"),
        ({"calls": 0}, "`calls >= 1`"),
        ({"weighting": "quux"}, "weighting=quux"),
        ({"batch_size": 31, "optim": replace(TINY.optim, accumulate=2)}, "`accumulate` to divide `batch_size`"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(TINY, **changes)


def refused(config: DistillConfig, splits: DataSplits) -> str:
    with pytest.raises((ConfigError, CheckpointError)) as error:
        load_teacher(config, splits, CPU)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_teacher_that_is_none_is_refused(
    config: DistillConfig, uncut: tuple[list[Epoch], Path], teacher: Path, splits: DataSplits, tmp_path: Path
) -> None:
    own = load_record(teacher)["config"]

    def with_teacher(folder: Path | str) -> str:
        return refused(replace(config, teacher=str(folder)), splits)

    assert with_teacher("").endswith("but got teacher=''; set trainable.teacher=CHECKPOINT")
    assert "no such file; a checkpoint is a folder with" in with_teacher(tmp_path / "nothing")
    gan = altered(teacher, tmp_path / "gan", kind="gan")
    assert with_teacher(gan).endswith("expected a checkpoint of kind `diffusion`, but got gan")
    assert with_teacher(uncut[1] / "2").endswith(
        "expected a teacher, but got a distilled model; give the teacher of it"
    )
    eps = altered(teacher, tmp_path / "eps", config={**own, "diffusion": {**own["diffusion"], "objective": "eps"}})
    assert "expected a teacher of diffusion.objective=v, but got eps" in with_teacher(eps)
    wider = altered(teacher, tmp_path / "wider", config={**own, "model": {**own["model"], "base_channels": 32}})
    assert "weights and configuration do not fit" in with_teacher(wider)
    others = altered(teacher, tmp_path / "others", data_sha256="0" * 64)
    assert "trained on other data" in with_teacher(others)
    assert load_teacher(config, splits, CPU).weights_sha256 == load_record(teacher)["weights_sha256"]


def test_data_in_another_form_than_the_teachers_are_refused_with_the_keys_to_set(
    config: DistillConfig, splits: DataSplits
) -> None:
    data = DataConfig(canonical=CanonicalConfig(sequence_length=48), rows_per_user=11)
    message = refused(replace(config, data=data), splits)
    assert "data.canonical.sequence_length=48, data.rows_per_user=11; set" in message
    assert message.endswith("trainable.data.canonical.sequence_length=64 trainable.data.rows_per_user=12")


def test_more_calls_than_diffusion_times_are_refused(splits: DataSplits, tmp_path: Path) -> None:
    few: DiffusionConfig = replace(TEACHER, steps_per_epoch=1, diffusion=NoiseConfig(timesteps=8))
    checkpoint = trained_teacher(tmp_path / "teacher", few)
    wide = replace(TINY, teacher=str(checkpoint), teacher_calls=16, calls=8, epochs=1)
    assert "`1 <= steps <= timesteps`, but got steps=16, timesteps=8" in refused(wide, splits)


def test_the_configuration_of_a_student_is_one_of_a_diffusion(config: DistillConfig, splits: DataSplits) -> None:
    found = plain(load_teacher(config, splits, CPU).student_config(config, 2))
    assert found["model"]["self_condition"] is False
    assert found["sampling"] == plain(SamplingConfig("ddim", "trailing", 2, align=False))
    assert found["augmentation"] == plain(TEACHER.augmentation)
    assert len(splits["train"]) == ROWS
