"""Still or moving as a channel: exact zeros, whole pixels, ends by request or by the law of the source."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError, build
from trainables.data.canonical import Canonical, decode, with_deltas
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.dataset import SequenceDataset
from trainables.data.samples import read_standardised
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator, load_generator
from trainables.diffusion.config import DiffusionConfig, ModelConfig, MotionConfig, OptimConfig
from trainables.diffusion.end_point_inpainting import end_point_correction
from trainables.diffusion.loop import epochs
from trainables.diffusion.motion import with_motion, without_motion
from trainables.diffusion.sample_run import sample
from trainables.diffusion.sampling_config import SampleConfig, SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.generation.conditions import NO_ENDS, Conditions, conditions_of
from trainables.training.checkpoint import RECORD, CheckpointError, load_checkpoint, save_checkpoint

FORM = CanonicalConfig()
CONFIG = DiffusionConfig(
    epochs=1,
    steps_per_epoch=6,
    batch_size=16,
    data=DataConfig(frame="quarter_turn"),
    model=ModelConfig(base_channels=16),
    motion=MotionConfig(channel=True, ends=True),
    optim=OptimConfig(lr=1e-2, warmup_steps=0, ema_width=0.1),
    sampling=SamplingConfig(steps=2),
    evaluation=EvaluationConfig(movements=40, folds=2, probes=("features",)),
)
both = pytest.mark.parametrize("frame", ["chord", "quarter_turn"])


def loaded(frame: str) -> DataSplits:
    return load_splits(DataConfig(frame=frame))


def noise(real: Canonical, channels: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*real.mask.shape, channels, generator=random) * real.mask[..., None]


def screen(z: Tensor, real: Canonical, splits: DataSplits) -> Tensor:
    """Whole-pixel steps of standardised ones."""
    return decode(with_deltas(real, splits.statistics.denormalise(z, real)), FORM).steps_px


@both
def test_the_channel_says_which_steps_move(frame: str) -> None:
    """Step by step from the recordings, zero under the mask, the steps themselves unchanged."""
    splits = loaded(frame)
    real = splits["validation"].take(torch.arange(30))
    batch = SequenceDataset(real, splits.statistics)[torch.arange(30)]
    (z, mask), condition = with_motion(batch, splits.statistics)
    assert torch.equal(z[..., :2], batch.sequences.z)
    assert torch.equal(mask, real.mask)
    assert torch.equal(condition, batch.condition)
    for row in range(30):
        for step in range(real.mask.shape[1]):
            still = not bool((real.deltas[row, step] != 0).any())
            expected = 0.0 if not mask[row, step] else -1.0 if still else 1.0
            assert float(z[row, step, 2]) == expected


@both
def test_recordings_come_back_from_their_channel_to_the_pixel(frame: str) -> None:
    splits = loaded(frame)
    real = splits["validation"]
    batch = with_motion(SequenceDataset(real, splits.statistics)[torch.arange(len(real))], splits.statistics)
    z = without_motion(batch.sequences.z, real, splits.statistics, real.ends())
    assert torch.equal(screen(z, real, splits), decode(real, FORM).steps_px)


@both
@pytest.mark.parametrize("align", [False, True])
def test_still_steps_are_zero_and_moving_ones_at_least_a_pixel(frame: str, align: bool) -> None:
    """For noise, most of whose steps without the channel would round otherwise."""
    splits = loaded(frame)
    real = splits["validation"]
    z = noise(real, 3)
    z[..., :2] += splits.statistics.compress(torch.zeros(1, 1, 2).double()).float()  # around zero
    z[..., :2] *= real.mask[..., None]
    z[:5, :, :2] = splits.statistics.compress(torch.zeros(1, 1, 2).double()).float()  # exactly zero, and yet moving
    found = screen(without_motion(z, real, splits.statistics, align=align), real, splits)
    moves = (found != 0).any(dim=-1)
    assert torch.equal(moves, (z[..., 2] > 0) & real.mask)
    plain = (screen(z[..., :2] * real.mask[..., None], real, splits) != 0).any(dim=-1)
    assert int((plain != moves).sum()) > 0.2 * int(real.mask.sum())


def test_a_step_of_less_than_a_pixel_becomes_the_one_it_is_closest_to() -> None:
    """By hand: along the larger axis of the screen, and where it is exactly zero along the way to the end."""
    splits = loaded("quarter_turn")
    real = splits["validation"].take(torch.arange(2))
    real = replace(real, angle=torch.tensor([2.0, -0.1]).double())
    placed = torch.zeros(2, real.mask.shape[1], 2, dtype=torch.float64)
    placed[:, :3] = torch.tensor([[0.3, -0.1], [-0.05, -0.2], [0.0, 0.0]]).double()
    cos, sin = real.angle.cos()[:, None], real.angle.sin()[:, None]
    x, y = placed.unbind(-1)
    steps = torch.stack([cos * x + sin * y, -sin * x + cos * y], dim=-1)
    z = splits.statistics.normalise(real.with_steps_px(steps))
    channel = torch.full_like(z[..., :1], -1.0)
    channel[:, :3] = 1.0
    found = screen(without_motion(torch.cat([z, channel], dim=2), real, splits.statistics), real, splits)
    assert found[0, :4].tolist() == [[1, 0], [0, -1], [0, 1], [0, 0]]
    assert found[1, :4].tolist() == [[1, 0], [0, -1], [1, 0], [0, 0]]


def test_the_requested_ends_go_before_the_channel() -> None:
    splits = loaded("chord")
    real = splits["validation"]
    ends = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]]).repeat(len(real), 1)[: len(real)]
    z = without_motion(noise(real, 3), real, splits.statistics, ends)
    found = (screen(z, real, splits) != 0).any(dim=-1)
    last = real.mask.sum(dim=1) - 1
    assert torch.equal(found[:, 0], ends[:, 0] > 0)
    assert torch.equal(found.gather(1, last[:, None])[:, 0], ends[:, 1] > 0)


def known_ends() -> Conditions:
    """400 conditions of two sources: one never ends still, one in three of four; a third source is unknown."""
    count = 400
    raw = torch.zeros(count, 5, dtype=torch.float64)
    source = torch.arange(count) % 2
    still = (source == 1) & (torch.arange(count) // 2 % 4 != 0)
    ends = torch.stack([torch.ones(count), torch.where(still, -1.0, 1.0)], dim=1).long()
    return Conditions(raw, raw[:, 0], source, ("moving", "resting"), ends)


def test_unknown_ends_follow_the_law_of_their_source() -> None:
    """Of 2,000 draws; the bounds are 4.4 standard deviations, so that 1 in 45,000 seeds would fail by chance."""
    known, count = known_ends(), 2000
    keys = [(7, number) for number in range(count)]
    raw = torch.zeros(count, 5, dtype=torch.float64)

    def drawn(source: int, names: tuple[str, ...] = ("resting", "moving")) -> Tensor:
        asked = Conditions(raw, raw[:, 0], torch.full((count,), source), names)
        return asked.with_drawn_ends(known, keys).ends

    assert bool((drawn(1) == 1).all())
    resting = int((drawn(0)[:, 1] == -1).sum())
    assert abs(resting - 0.75 * count) < 85  # a standard deviation is 19.4
    assert abs(int((drawn(-1)[:, 1] == -1).sum()) - 0.375 * count) < 95  # of any source; 21.7
    assert torch.equal(drawn(0, ("new", "moving")), drawn(-1))
    assert torch.equal(drawn(0), drawn(0))


def test_drawn_ends_depend_on_the_key_of_the_row_alone_and_known_ones_are_kept() -> None:
    known, raw = known_ends(), torch.zeros(6, 5, dtype=torch.float64)
    asked = Conditions(raw, raw[:, 0], torch.ones(6).long(), ("moving", "resting"))
    keys = [(3, number) for number in range(6)]
    whole = asked.with_drawn_ends(known, keys).ends
    part = asked.take(torch.tensor([4, 1])).with_drawn_ends(known, [keys[4], keys[1]]).ends
    assert torch.equal(part, whole[[4, 1]])
    given = replace(asked, ends=torch.tensor([[-1, -1]]).repeat(6, 1))
    assert given.with_drawn_ends(known, keys) is given


def test_the_ends_of_conditions_survive_a_checkpoint_and_older_ones_have_none() -> None:
    known = conditions_of(loaded("chord")["train"])
    tensors = known.tensors()
    assert torch.equal(Conditions.of_tensors(tensors, known.sources).ends, loaded("chord")["train"].ends())
    del tensors["ends"]
    older = Conditions.of_tensors(tensors, known.sources)
    assert torch.equal(older.ends, NO_ENDS.expand(len(known), -1))
    joined = Conditions.joined([known.take(torch.arange(3)), known.take(torch.arange(5, 7))])
    assert torch.equal(joined.ends, known.ends[[0, 1, 2, 5, 6]])


# training and sampling


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a briefly trained model with everything switched on."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    *_, last = epochs(CONFIG)
    assert last.metrics["val/loss"] < 10
    last.save(folder)
    return folder


@pytest.fixture(scope="module")
def source(checkpoint: Path) -> Generator:
    return load_generator(checkpoint)


def test_a_checkpoint_says_its_frame_its_ends_and_its_channel(checkpoint: Path, source: Generator) -> None:
    _, record = load_checkpoint(checkpoint)
    assert (record["frame"], record["ends"]) == ("quarter_turn", True)
    assert (source.statistics.frame, source.statistics.ends, source.motion) == ("quarter_turn", True, True)
    assert source.statistics.condition_width == loaded("quarter_turn").with_ends(True).statistics.condition_width


def test_samples_end_as_requested_and_at_the_requested_point(source: Generator) -> None:
    """Aligned, up to the steps of less than a pixel that become whole ones; the briefly trained model alone misses."""
    splits = loaded("quarter_turn")
    real = splits["validation"].take(torch.arange(60))
    missed = []
    for align in (True, False):
        fake = source.sample_matching(real, seed=0, sampling=SamplingConfig(steps=4, align=align))
        steps = decode(fake, FORM).steps_px
        moves = (steps != 0).any(dim=-1)
        last = real.mask.sum(dim=1, keepdim=True) - 1
        ends = torch.cat([moves[:, :1], moves.gather(1, last)], dim=1)
        assert torch.equal(ends, real.ends() > 0)
        off = (fake.deltas.sum(dim=1) - torch.tensor([1.0, 0.0])).norm(dim=1) * real.distance_px
        missed.append(float(off.median()))
    assert missed[0] < 0.5 * missed[1]


def test_inpainting_holds_the_end_point_in_the_frame_and_leaves_the_channel_alone(source: Generator) -> None:
    real = loaded("quarter_turn")["validation"].take(torch.arange(30))
    z = noise(real, 3)
    corrected = end_point_correction(source.statistics, real.mask, source.statistics.net_px(real))(z)
    assert torch.equal(corrected[..., 2], z[..., 2])
    net = source.statistics.denormalise(corrected[..., :2], real).sum(dim=1)
    torch.testing.assert_close(net, torch.tensor([1.0, 0.0]).double().expand_as(net), rtol=0, atol=1e-4)
    fake = source.sample_matching(real, seed=0, sampling=SamplingConfig(steps=3, inpaint=True))
    assert bool(fake.deltas.isfinite().all())


def test_a_row_does_not_depend_on_the_others(source: Generator) -> None:
    """Rows of given conditions, whose ends are drawn, alone and together, to the last bit."""
    given = source.training_conditions.take(torch.arange(40))
    given = replace(given, ends=NO_ENDS.expand(40, -1))
    frame = given.frame(source.canonical)
    keys = [(5, number) for number in range(40)]
    whole = source.rows(given, frame, keys)
    for rows in (torch.tensor([0]), torch.tensor([17, 3]), torch.arange(20, 40)):
        part = source.rows(given.take(rows), frame.take(rows), [keys[row] for row in rows.tolist()])
        assert torch.equal(part, whole[rows])
        one, other = (source.statistics.denormalise(z, frame.take(rows)) for z in (part, whole[rows]))
        assert torch.equal(one, other)


def test_a_file_of_samples_is_read_back_in_its_frame(checkpoint: Path, tmp_path: Path) -> None:
    sample(SampleConfig(ckpt=str(checkpoint), n=12, steps=2, out_dir=str(tmp_path)))
    record = json.loads((tmp_path / "samples.json").read_text())
    assert record["frame"] == "quarter_turn"
    movements, _ = read_standardised(tmp_path / "samples.npy")
    generator = load_generator(checkpoint)
    conditions = generator.draw_conditions(12, 0, 64)
    frame = conditions.frame(generator.canonical)
    (z,) = generator.stream(conditions, frame, seed=0, steps=2)
    expected = decode(with_deltas(frame, generator.statistics.denormalise(z, frame)), FORM)
    assert torch.equal(movements.steps_px, expected.steps_px)


def edited(checkpoint: Path, folder: Path, **changes: Any) -> Path:
    """The same checkpoint with another record; None removes a key."""
    tensors, record = load_checkpoint(checkpoint)
    kept = {key: value for key, value in {**record, **changes}.items() if value is not None}
    save_checkpoint(folder, tensors, kept)
    assert (folder / RECORD).is_file()
    return folder


def test_a_frame_that_is_not_known_is_refused_in_one_line(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as exc_info:
        load_generator(edited(checkpoint, tmp_path / "other", frame="hexagonal"))
    assert "expected `frame` in {chord, quarter_turn}, but got frame=hexagonal" in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_an_older_checkpoint_is_of_the_chord(tmp_path: Path) -> None:
    """Without a frame, ends and a section of motion, which its version had not: the same samples."""
    config = replace(
        CONFIG, data=DataConfig(), motion=MotionConfig(channel=False, ends=False), optim=OptimConfig(lr=1e-2)
    )
    *_, last = epochs(config)
    last.save(tmp_path / "new")
    tensors, record = load_checkpoint(tmp_path / "new")
    for key in ("frame", "ends"):
        del record[key]
    del record["config"]["motion"], record["config"]["data"]["frame"], record["config"]["optim"]["ema_width"]
    older = {name: tensor for name, tensor in tensors.items() if name != "known.ends"}
    save_checkpoint(tmp_path / "old", older, record)
    real = loaded("chord")["validation"].take(torch.arange(8))
    new, old = (load_generator(tmp_path / name).sample_matching(real, seed=1) for name in ("new", "old"))
    assert torch.equal(new.deltas, old.deltas)
    assert load_generator(tmp_path / "old").statistics.frame == "chord"


def test_a_resumed_run_continues_as_if_never_interrupted(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=2, steps_per_epoch=3)

    def weights(states: Iterator[Any]) -> list[Tensor]:
        *_, last = states
        last.save(tmp_path / f"last{len(list(tmp_path.iterdir()))}")
        tensors, _ = load_checkpoint(sorted(tmp_path.iterdir())[-1])
        return [tensors[name] for name in sorted(tensors) if name.startswith("ema.")]

    first = epochs(config)
    next(first)
    next(first).save(tmp_path / "half")
    resumed = weights(epochs(config, resume=tmp_path / "half"))
    assert all(map(torch.equal, weights(epochs(config)), resumed))


# refusals


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"motion": {"channel": True}, "latent": {"enabled": True}}, "`motion.channel` only with a diffusion of steps"),
        (
            {"motion": {"channel": True}, "data": {"canonical": {"representation": "events"}}},
            "`motion` only with fixed_dt",
        ),
        (
            {"motion": {"ends": True}, "data": {"canonical": {"representation": "normalised_time"}}},
            "`motion` only with fixed_dt",
        ),
    ],
)
def test_motion_where_steps_are_no_ticks_is_refused(changes: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        build(DiffusionConfig, changes)
    assert law in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_a_direction_that_is_no_number_is_refused() -> None:
    known = conditions_of(loaded("chord")["validation"]).take(torch.arange(3))
    with pytest.raises(ConfigError, match=r"^expected a direction of every movement, but got NaN or infinity; "):
        replace(known, angle=torch.tensor([0.0, torch.nan, 1.0]).double()).check(FORM)
