"""Properties of a detector's run: seeds decide it, resuming equals an uninterrupted run, a frozen trunk stays."""

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from tests.trainables.detector.tiny import TINY, Tensors, assert_equal, differ, saved
from trainables.core.config import ConfigError, plain
from trainables.data.config import DataConfig
from trainables.data.labels import LabelMaps
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.detector.config import DetectorConfig, LossConfig, NegativesConfig, OptimConfig
from trainables.detector.cost import measure
from trainables.detector.dataset.negatives import ShortageError
from trainables.detector.dataset.training_set import (
    WIDTH,
    DetectorDataset,
    Inputs,
    Item,
    Scaling,
    Targets,
    TrainingSet,
    label_maps,
)
from trainables.detector.state import State, initial_state, restore_state
from trainables.detector.train import epochs, items, optimise, shard
from trainables.nn.lr_schedule import learning_rate
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, load_record, save_checkpoint, select
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker

ROOT = Path(__file__).resolve().parents[3]
CLOCKS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
SILENT = LossConfig(task_weight=0.0, embodiment_weight=0.0, club_weight=0.0)
C = 2
Run = tuple[list[Epoch], list[Tensors], Path]


def timeless(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in CLOCKS}


@pytest.fixture(scope="module")
def busy(tiny: DetectorConfig, gan: Path, folder: Path) -> DetectorConfig:
    """Return a configuration with all terms of the loss and bots of three sources."""
    negatives = NegativesConfig(
        alpha=0.2, gan=0.3, served=0.1, gan_checkpoint=str(gan), served_folder=str(folder), held_out=("pid", "replay")
    )
    return replace(tiny, negatives=negatives)


@pytest.fixture(scope="module")
def uninterrupted(busy: DetectorConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run and save after each epoch."""
    folder, run, states = tmp_path_factory.mktemp("uninterrupted"), [], []
    for epoch in epochs(busy):
        run.append(epoch)
        states.append(saved(epoch, folder / str(epoch.number)))
    return run, states, folder


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


@pytest.fixture(scope="module")
def examples(splits: DataSplits) -> DetectorDataset:
    """Return users and as many bots."""
    config = replace(TINY, negatives=NegativesConfig(alpha=1.0))
    given = TrainingSet(splits["train"].take(torch.arange(200)), Scaling.fit(splits), label_maps(), config)
    return given.dataset(given.negatives(0))[0]


def item_of(examples: DetectorDataset, rows: int = 16) -> Item:
    return examples[torch.arange(rows) * (len(examples) // rows)]


def weights(module: nn.Module) -> Tensors:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


# reproducibility


def test_a_resumed_run_equals_the_uninterrupted_run_bit_for_bit(
    busy: DetectorConfig, uninterrupted: Run, tmp_path: Path
) -> None:
    run, states, folder = uninterrupted
    torch.rand(77)  # the global random state does not matter
    for last in (0, 1):
        rest = []
        for epoch in epochs(busy, resume=folder / str(last)):
            rest.append(epoch.number)
            assert timeless(epoch) == timeless(run[epoch.number])
            assert_equal(saved(epoch, tmp_path / f"{last}-{epoch.number}"), states[epoch.number])
            records = [
                load_checkpoint(place)[1] for place in (tmp_path / f"{last}-{epoch.number}", folder / str(epoch.number))
            ]
            assert records[0] == records[1]
        assert rest == [1, 2][last:]
    assert list(epochs(busy, resume=folder / "2")) == []


def test_every_part_of_the_state_is_trained_and_saved(uninterrupted: Run) -> None:
    """Otherwise the test above could pass on a constant state."""
    for part in (
        "network.trunk",
        "network.wide",
        "network.deep",
        "network.task",
        "network.embodiment",
        "optimizer",
        "club.",
        "club_optimizer.",
        "ema.",
    ):
        one, two = ({k: v for k, v in state.items() if k.startswith(part)} for state in uninterrupted[1][1:])
        assert one.keys() == two.keys() != set(), part
        assert differ(one, two), part


def test_another_seed_or_other_negatives_give_another_run(busy: DetectorConfig, uninterrupted: Run) -> None:
    others = (replace(busy, seed=1), replace(busy, negatives=replace(busy.negatives, held_out=("pid",))))
    for other in others:
        _, first = islice(epochs(other), 2)
        assert timeless(first)[names.TRAIN_LOSS] != timeless(uninterrupted[0][1])[names.TRAIN_LOSS]


@pytest.mark.heavy
def test_another_process_gives_the_same_metrics(tiny: DetectorConfig) -> None:
    code = (
        "import torch; torch.set_num_threads(1); from itertools import islice; "
        "from trainables.core.config import build; from trainables.detector.config import DetectorConfig; "
        "from trainables.detector.train import epochs; "
        f"_, first = islice(epochs(build(DetectorConfig, {plain(tiny)!r})), 2); "
        "print({k: v for k, v in first.metrics.items() if 'seconds' not in k})"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    _, first = islice(epochs(tiny), 2)
    assert other.stdout.strip() == str(timeless(first))


def test_the_initial_weights_follow_from_the_seed_alone() -> None:
    def start(seed: int) -> list[Tensor]:
        torch.rand(seed + 3)
        state = initial_state(replace(TINY, seed=seed), C, ALONE)
        return [*state.network.parameters(), *state.club.parameters()]

    assert all(map(torch.equal, start(0), start(0)))
    assert not all(map(torch.equal, start(0), start(1)))


# metrics of an epoch


def test_epochs_are_numbered_from_the_untrained_detector(busy: DetectorConfig, uninterrupted: Run) -> None:
    run, states, folder = uninterrupted
    assert [epoch.number for epoch in run] == [0, 1, 2] == [epoch.metrics[names.EPOCH] for epoch in run]
    assert [epoch.metrics.get(names.TRAIN_STEPS) for epoch in run] == [None, 2.0, 4.0]
    records = [load_checkpoint(folder / str(number))[1] for number in range(3)]
    assert [record["step"] for record in records] == [0, 2, 4] == [record["ema_updates"] for record in records]
    assert all(record["config"] == plain(busy) and record["kind"] == "detector" for record in records)
    untrained = initial_state(busy, C, ALONE)
    assert_equal(select("network", states[0]), weights(untrained.network))
    assert_equal(select("ema", states[0]), weights(untrained.network))


def test_only_what_was_computed_is_reported(tiny: DetectorConfig, uninterrupted: Run) -> None:
    run, _, _ = uninterrupted
    terms = {names.TRAIN_TASK_CONTRASTIVE, names.TRAIN_EMBODIMENT_CONTRASTIVE, names.TRAIN_CLUB}
    whole = {
        names.TRAIN_LOSS,
        names.TRAIN_CROSS_ENTROPY,
        names.TRAIN_GRADIENT_NORM,
        names.TRAIN_LEARNING_RATE,
    }
    assert not any(name.startswith("train/") for name in run[0].metrics)
    assert all(terms | whole <= set(epoch.metrics) for epoch in run[1:])
    assert all(names.VAL_FNR_WORST_UNSEEN in epoch.metrics for epoch in run)
    assert all(math.isfinite(value) for epoch in run for value in epoch.metrics.values())
    _, silent = islice(epochs(replace(tiny, loss=SILENT)), 2)
    assert not terms & set(silent.metrics)
    assert silent.metrics[names.TRAIN_LOSS] == silent.metrics[names.TRAIN_CROSS_ENTROPY]


def test_a_checkpoint_records_labels_bots_and_their_weights(gan: Path, uninterrupted: Run) -> None:
    _, record = load_checkpoint(uninterrupted[2] / "2")
    assert LabelMaps.from_json(record["labels"]) == label_maps()
    negatives = record["negatives"]
    assert negatives["models"] == {"gan": load_checkpoint(gan)[1]["weights_sha256"], "served": "a" * 64}
    assert sum(negatives["styles"].values()) == 30
    assert negatives["balance"] == "balance: 150 real + 30 generated, ratio 0.2000 (target 0.2000)"
    assert not {"pid", "replay_jitter", "replay_transfer"} & set(negatives["styles"])
    assert record["temperature"] > 0


def test_only_the_first_worker_validates(tiny: DetectorConfig) -> None:
    run = list(epochs(replace(tiny, epochs=1, steps_per_epoch=1), worker=Worker(rank=1, world_size=2)))
    assert not any(name.startswith(("val/", "model/")) for epoch in run for name in epoch.metrics)
    assert names.TRAIN_LOSS in run[1].metrics


# resuming is for the same run


def restore(config: DetectorConfig, folder: Path) -> None:
    """Restore a detector of this configuration from a checkpoint."""
    restore_state(initial_state(config, C, ALONE), config, load_splits(config.data), folder)


def test_a_checkpoint_of_another_run_is_refused(busy: DetectorConfig, uninterrupted: Run, tmp_path: Path) -> None:
    folder = uninterrupted[2] / "1"
    restore(busy, folder)
    with pytest.raises(CheckpointError, match="made with another configuration"):
        next(epochs(replace(busy, seed=1), resume=folder))
    tensors, record = load_checkpoint(folder)
    save_checkpoint(tmp_path / "data", tensors, {**record, "data_sha256": "0" * 64})
    with pytest.raises(CheckpointError, match="trained on other data"):
        restore(busy, tmp_path / "data")


@pytest.mark.parametrize("part", ["network.trunk.stem", "club.mean", "ema.deep"])
def test_a_checkpoint_without_a_part_is_refused(
    busy: DetectorConfig, uninterrupted: Run, tmp_path: Path, part: str
) -> None:
    tensors, record = load_checkpoint(uninterrupted[2] / "1")
    missing = {name: tensor for name, tensor in tensors.items() if not name.startswith(part)}
    save_checkpoint(tmp_path / "part", missing, record)
    with pytest.raises(CheckpointError, match="not a whole checkpoint of this run"):
        restore(busy, tmp_path / "part")


# wrong input, before anything is trained


def test_a_batch_that_workers_cannot_share_equally_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`workers` to divide `batch_size`.*workers=3, batch_size=16"):
        next(epochs(TINY, worker=Worker(rank=0, world_size=3)))


def test_a_batch_beyond_the_training_set_is_refused(tiny: DetectorConfig) -> None:
    with pytest.raises(ConfigError, match=r"expected `batch_size <= training movements`, but got 166 > 165"):
        list(islice(epochs(replace(tiny, batch_size=166)), 2))


def test_a_source_with_too_few_bots_is_an_error_before_any_training(tiny: DetectorConfig, folder: Path) -> None:
    short = NegativesConfig(alpha=0.5, bots=0.0, served=1.0, served_folder=str(folder))
    with pytest.raises(ShortageError, match=r"expected `served movements >= 75`, but .* has 30"):
        next(epochs(replace(tiny, negatives=short)))


# steps


def test_batches_follow_from_seed_and_epoch_without_end(examples: DetectorDataset) -> None:
    config = replace(TINY, batch_size=64)
    several = list(islice(items(examples, config, 0), 20))  # three passes
    again = list(islice(items(examples, config, 0), 20))
    for (mine, targets, *_), (theirs, again_targets, *_) in zip(several, again, strict=True):
        assert torch.equal(mine.z, theirs.z)
        assert torch.equal(targets.task, again_targets.task)
        assert len(targets.bot) == 64
    other = next(items(examples, config, 1))
    assert not torch.equal(other[1].task, several[0][1].task)


def test_a_step_moves_the_detector_and_its_average(examples: DetectorDataset) -> None:
    state = initial_state(TINY, C, ALONE)
    before = weights(state.network), weights(state.ema.model)
    measured = optimise(state, TINY, item_of(examples))
    assert (state.step, state.ema.updates) == (1, 1)
    assert differ(weights(state.network), before[0])
    assert differ(weights(state.ema.model), before[1])
    assert measured[names.TRAIN_GRADIENT_NORM] > 0


@pytest.mark.parametrize(("silent", "still"), [("task_weight", "task"), ("embodiment_weight", "embodiment")])
def test_a_head_without_a_loss_does_not_change(examples: DetectorDataset, silent: str, still: str) -> None:
    """Neither a gradient nor weight decay moves it; the bound has a gradient for the task head alone."""
    for club_weight, moves in ((0.0, False), (0.1, silent == "task_weight")):
        weights_of: dict[str, Any] = {"club_weight": club_weight, silent: 0.0}
        config = replace(TINY, loss=LossConfig(**weights_of))
        state = initial_state(config, C, ALONE)
        before = weights(getattr(state.network, still))
        for _ in range(2):
            optimise(state, config, item_of(examples))
        assert differ(weights(getattr(state.network, still)), before) is moves


def test_a_loss_that_is_not_finite_ends_the_run_before_the_weights_change(examples: DetectorDataset) -> None:
    state = initial_state(TINY, C, ALONE)
    before = weights(state.network)
    inputs, targets, *_ = item_of(examples)
    with pytest.raises(TrainingDivergedError, match=r"^the loss is nan at step 0; lower optim.lr=0.01$"):
        optimise(state, TINY, (inputs._replace(features=inputs.features * math.nan), targets))
    assert not differ(weights(state.network), before)
    assert state.step == 0


# a frozen trunk


@pytest.fixture(scope="module")
def frozen(tiny: DetectorConfig, uninterrupted: Run) -> DetectorConfig:
    return replace(tiny, seed=9, model=replace(tiny.model, frozen_from=str(uninterrupted[2] / "2")))


def test_a_frozen_trunk_stays_bit_for_bit_while_the_heads_learn(
    frozen: DetectorConfig, uninterrupted: Run, tmp_path: Path
) -> None:
    trunk = select("trunk", select("ema", uninterrupted[1][2]))
    for epoch in epochs(frozen):
        tensors = saved(epoch, tmp_path / str(epoch.number))
        for part in ("network", "ema"):
            assert_equal(select("trunk", select(part, tensors)), trunk)
    first, last = (select("network", load_checkpoint(tmp_path / number)[0]) for number in ("0", "2"))
    for head in ("wide", "deep", "task", "embodiment"):
        assert differ(select(head, first), select(head, last)), head


def test_a_frozen_trunk_has_no_dropout(frozen: DetectorConfig, examples: DetectorDataset) -> None:
    for config, by_chance in ((frozen, False), (TINY, True)):
        state = initial_state(config, C, ALONE)
        optimise(state, config, item_of(examples))
        inputs, *_ = item_of(examples)
        with torch.no_grad():
            one, other = (state.network.trunk(*inputs[:3]) for _ in range(2))
        assert torch.equal(one, other) is not by_chance


def test_a_trunk_that_does_not_fit_is_refused(frozen: DetectorConfig, gan: Path, tmp_path: Path) -> None:
    faults: dict[str, dict[str, Any]] = {
        "its trunk has another shape than `model`$": {"width": 6},
        "kind `detector`, but got gan$": {"frozen_from": str(gan)},
        "no such file": {"frozen_from": str(tmp_path)},
    }
    for line, change in faults.items():
        with pytest.raises(CheckpointError, match=line):
            initial_state(replace(frozen, model=replace(frozen.model, **change)), C, ALONE)


def test_a_frozen_trunk_of_other_data_is_refused(frozen: DetectorConfig) -> None:
    canonical = replace(frozen.data.canonical, sequence_length=frozen.data.canonical.sequence_length - 8)
    other = replace(frozen, data=replace(frozen.data, canonical=canonical))
    with pytest.raises(CheckpointError, match=r"its trunk was trained on other data \([0-9a-f]{12}, not [0-9a-f]{12}"):
        next(epochs(other))


def test_parts_have_their_own_learning_rates_and_the_common_one_is_reported(frozen: DetectorConfig) -> None:
    """The first parameter group differs if the trunk is frozen."""
    for config in (TINY, frozen):
        plain = replace(config, epochs=1, optim=replace(config.optim, warmup_steps=0))
        state = initial_state(plain, C, ALONE)
        scales = [group["scale"] for group in state.optimizer.param_groups]
        assert sorted(scales) == [0.2, 1.0, 5.0]
        *_, last = epochs(plain)
        total = plain.steps_per_epoch
        assert last.metrics[names.TRAIN_LEARNING_RATE] == pytest.approx(learning_rate(total - 1, total, plain.optim))


def test_the_record_holds_the_hash_of_the_frozen_weights(
    frozen: DetectorConfig, uninterrupted: Run, tmp_path: Path
) -> None:
    next(epochs(frozen)).save(tmp_path / "checkpoint")
    assert load_record(tmp_path / "checkpoint")["frozen"] == load_record(uninterrupted[2] / "2")["weights_sha256"]
    assert load_record(uninterrupted[2] / "2")["frozen"] == ""


# several workers


def test_workers_share_the_rows_of_a_batch_in_turn(examples: DetectorDataset) -> None:
    inputs, targets, *_ = item_of(examples)
    weight = torch.arange(16.0)
    for item in ((inputs, targets), (inputs, targets, weight)):
        shares = [shard(item, Worker(rank=rank, world_size=2)) for rank in range(2)]
        for row in range(16):
            mine, place = shares[row % 2], row // 2
            assert len(mine) == len(item)
            for found, whole in zip((*mine[0], *mine[1], *mine[2:]), (*inputs, *targets, weight), strict=False):
                assert torch.equal(found[place], whole[row])


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")  # of speed, not of numbers
@pytest.mark.usefixtures("process_group")
def test_under_a_data_parallel_wrapper_a_step_is_the_same(examples: DetectorDataset) -> None:
    states = [initial_state(TINY, C, worker) for worker in (ALONE, Worker(wrap=DistributedDataParallel))]
    for state in states:
        torch.manual_seed(0)
        for _ in range(2):
            optimise(state, TINY, item_of(examples))
    assert isinstance(states[1].parallel, DistributedDataParallel)
    for name, tensor in states[0].tensors().items():
        torch.testing.assert_close(states[1].tensors()[name], tensor)


class Counted(nn.Module):
    """Counts its calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, Counter[bool]()

    def forward(self, *given: Tensor) -> Any:
        self.calls[torch.is_grad_enabled()] += 1
        return self.network(*given)


def test_the_network_learns_through_its_wrapper_alone_and_once_a_step(examples: DetectorDataset) -> None:
    """More than one call, or one beside it, would leave workers with gradients that are not common."""
    state: State = initial_state(TINY, C, Worker(wrap=Counted))
    optimise(state, TINY, item_of(examples))
    assert isinstance(state.parallel, Counted)
    assert state.parallel.calls == {True: 1}


# learning


def toy(examples: DetectorDataset, noise: int) -> Item:
    """Return a batch where bots differ in the level of their steps."""
    inputs, targets, *_ = item_of(examples, 64)
    random = torch.Generator().manual_seed(noise)
    z = torch.randn(inputs.z.shape, generator=random) + 2.0 * targets.bot[:, None, None]
    features, direction = torch.zeros(len(z), WIDTH), torch.zeros(len(z), 2)
    return Inputs(z * inputs.mask[..., None], inputs.mask, features, direction), Targets(*targets)


def test_a_detector_learns_from_the_steps_alone(examples: DetectorDataset) -> None:
    """Features hold no information here; the bound of the trunk's part keeps cross-entropy from falling further."""
    config = replace(TINY, loss=SILENT, optim=OptimConfig(lr=2e-2, warmup_steps=0, ema_decay=0.5), steps_per_epoch=60)
    state = initial_state(config, C, ALONE)
    torch.manual_seed(0)
    for step in range(60):
        optimise(state, config, toy(examples, step))
    inputs, targets, *_ = toy(examples, 1000)
    with torch.no_grad():
        logit = state.ema.model(*inputs).logit
    assert float(nn.functional.binary_cross_entropy_with_logits(logit, targets.bot)) < 0.35


def test_a_short_run_learns_to_separate_users_from_bots(tiny: DetectorConfig) -> None:
    """80 steps: of the seeds 0 to 7, of which the first is run, cross-entropy falls by 6 to 30 % from the first epoch
    to the second, and the area under the curve of seen families rises from 0.20-0.72 to 0.91-0.94.
    """
    config = replace(tiny, steps_per_epoch=40, batch_size=32, negatives=NegativesConfig(alpha=0.5))
    run = list(epochs(config))
    first, last = (epoch.metrics[names.TRAIN_CROSS_ENTROPY] for epoch in run[1:])
    assert last < 0.98 * first
    assert run[0].metrics[names.VAL_SEEN_AUC] < 0.8
    assert run[2].metrics[names.VAL_SEEN_AUC] > 0.85


# cost


def test_the_measured_size_of_a_checkpoint_is_that_of_the_networks_tensors(
    tiny: DetectorConfig, uninterrupted: Run
) -> None:
    """The bound's network, conditions and statistics do not count, since they do not grow with the detector."""
    cost = measure(tiny)
    parts = ("network.", "optimizer.", "ema.")
    tensors = {name: tensor for name, tensor in uninterrupted[1][2].items() if name.startswith(parts)}
    held = sum(t.numel() * t.element_size() for name, t in tensors.items() if not name.endswith(".step"))
    assert cost.checkpoint_bytes == held
    assert cost.steps_per_epoch == tiny.steps_per_epoch
    assert min(cost.step_s, cost.evaluation_s) > 0


def test_the_reported_learning_rate_is_the_last_one_used(busy: DetectorConfig, uninterrupted: Run) -> None:
    steps = busy.steps_per_epoch
    found = [epoch.metrics[names.TRAIN_LEARNING_RATE] for epoch in uninterrupted[0][1:]]
    expected = [learning_rate(k * steps - 1, busy.epochs * steps, busy.optim) for k in range(1, busy.epochs + 1)]
    assert found == expected
    assert len(set(found)) == busy.epochs
