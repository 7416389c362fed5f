"""Properties of the detector's loss: terms by their definition, those of weight 0 absent, and two workers as one."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from tests.trainables.detector.tiny import MODEL, TINY
from trainables.contrastive.club import CLUB, SMALLEST
from trainables.detector import objective
from trainables.detector.config import DetectorConfig, LossConfig
from trainables.detector.dataset.training_set import WIDTH, Inputs, Item, Targets
from trainables.detector.model import DetectorNetwork, Outputs
from trainables.detector.objective import Losses, cross_entropy, detector_loss
from trainables.detector.state import State, initial_state
from trainables.detector.train import optimise, shard
from trainables.training.worker import ALONE, Worker

ROWS, STEPS, C = 16, 12, 2
PLAIN = LossConfig(task_weight=0.0, embodiment_weight=0.0, club_weight=0.0)
WHOLE = LossConfig(task_weight=0.3, embodiment_weight=0.2, club_weight=0.5, temperature=0.5, club_lr=1e-2)
WEIGHTS = ("task_weight", "embodiment_weight", "club_weight")
Found = dict[str, Any]


def batch(rows: int = ROWS, weighted: bool = False) -> Item:
    """Return inputs in float64; all tasks but two have rows of one worker only, k mod 2."""
    random = torch.Generator().manual_seed(0)
    mask = torch.arange(STEPS) < torch.randint(8, STEPS + 1, (rows, 1), generator=random)
    z = torch.randn(rows, STEPS, C, generator=random, dtype=torch.float64) * mask[..., None]
    features, direction = (torch.randn(rows, n, generator=random, dtype=torch.float64) for n in (WIDTH, 2))
    inputs = Inputs(z, mask, features, direction)
    bot = torch.arange(rows) // 2 % 2
    targets = Targets(bot.double(), torch.arange(rows) // 2 % 5, bot)
    weight = torch.where(bot > 0, 0.25, 1.0).double()
    return (inputs, targets, weight) if weighted else (inputs, targets)


def outputs_of(rows: int = ROWS, seed: int = 1) -> Outputs:
    random = torch.Generator().manual_seed(seed)
    shapes = ((rows,), (rows, 4), (rows, 4))
    return Outputs(*(torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_() for shape in shapes))


def club_of() -> tuple[CLUB, torch.optim.Optimizer]:
    torch.manual_seed(3)
    club = CLUB(4, 4, 8).double()
    return club, torch.optim.Adam(club.parameters(), lr=1e-2)


def loss_of(outputs: Outputs, config: LossConfig, weight: Tensor | None = None) -> tuple[Losses, CLUB]:
    club, optimizer = club_of()
    return detector_loss(outputs, batch()[1], weight, config, club, optimizer), club


def weights(club: CLUB) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in club.parameters()]


# the definition


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_weighted_mean_over_rows(weighted: bool) -> None:
    logit, bot = outputs_of().logit.detach(), batch()[1].bot
    weight = torch.linspace(0.1, 1.0, ROWS, dtype=torch.float64) if weighted else None
    total = 0.0
    for row in range(ROWS):
        z, factor = float(logit[row]), float(weight[row]) if weight is not None else 1.0
        total -= factor * (log_sigmoid(z) if bot[row] else log_sigmoid(-z))
    assert float(cross_entropy(logit, bot, weight)) == pytest.approx(total / ROWS, abs=1e-12)


def contrastive_by_definition(embeddings: Tensor, labels: Tensor, temperature: float) -> float:
    z = (embeddings / embeddings.norm(dim=1, keepdim=True)).tolist()
    losses = []
    for i in range(ROWS):

        def similarity(k: int, anchor: list[float] = z[i]) -> float:
            return math.exp(sum(a * b for a, b in zip(anchor, z[k], strict=True)) / temperature)

        others = [k for k in range(ROWS) if k != i]
        positives = [k for k in others if labels[k] == labels[i]]
        if positives:
            everyone = math.log(sum(map(similarity, others)))
            losses.append(-sum(math.log(similarity(p)) - everyone for p in positives) / len(positives))
    return sum(losses) / len(losses)


def bound_by_definition(club: CLUB, task: Tensor, embodiment: Tensor) -> float:
    x, y = (rows / rows.norm(dim=1, keepdim=True) for rows in (task, embodiment))
    q = club((x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + SMALLEST).sqrt())

    def log_density(i: int, j: int) -> float:
        terms = (y[j] - q.mean[i]) ** 2 / q.log_variance[i].exp() + q.log_variance[i]
        return -0.5 * float(terms.sum())

    own = sum(log_density(i, i) for i in range(ROWS)) / ROWS
    return own - sum(log_density(i, j) for i in range(ROWS) for j in range(ROWS)) / ROWS**2


@torch.no_grad()
def by_definition(outputs: Outputs, club: CLUB, config: LossConfig) -> float:
    """Return the total of a batch; `club` is the network after its steps."""
    targets = batch()[1]
    total = float(cross_entropy(outputs.logit, targets.bot))
    total += config.task_weight * contrastive_by_definition(outputs.task, targets.task, config.temperature)
    total += config.embodiment_weight * contrastive_by_definition(
        outputs.embodiment, targets.embodiment, config.temperature
    )
    return total + config.club_weight * bound_by_definition(club, outputs.task, outputs.embodiment)


def test_the_loss_is_that_of_the_definition_in_plain_loops() -> None:
    outputs = outputs_of()
    losses, club = loss_of(outputs, WHOLE)
    assert losses.total.item() == pytest.approx(by_definition(outputs, club, WHOLE), abs=1e-10)
    assert losses.task is not None
    assert losses.embodiment is not None
    assert losses.club is not None
    parts = losses.cross_entropy + 0.3 * losses.task + 0.2 * losses.embodiment + 0.5 * losses.club
    assert losses.total.item() == pytest.approx(parts.item(), abs=1e-12)


# terms of weight 0


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def computed(*_: object) -> Tensor:
        raise AssertionError("computed")

    for name in names:
        monkeypatch.setattr(objective, name, computed)


def test_without_weights_the_loss_is_cross_entropy_alone_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch, "gather", "supervised_contrastive", "_bound", "inner_steps")
    outputs = outputs_of()
    losses, club = loss_of(outputs, PLAIN)
    assert losses.total is losses.cross_entropy
    assert torch.equal(losses.total, cross_entropy(outputs.logit, batch()[1].bot))
    assert losses[2:] == (None, None, None)
    assert all(map(torch.equal, weights(club), weights(club_of()[0])))


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_term_of_weight_0_is_not_computed_and_the_others_do_not_change(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent: dict[str, Any] = {name: 0.0}
    whole, _ = loss_of(outputs_of(), WHOLE)
    if name == "club_weight":
        forbid(monkeypatch, "_bound", "inner_steps")
    outputs = outputs_of()
    losses, _ = loss_of(outputs, replace(WHOLE, **silent))
    for other, mine, theirs in zip(WEIGHTS, losses[2:], whole[2:], strict=True):
        assert (mine is None) == (other == name)
        assert theirs is not None
        assert mine is None or torch.equal(mine, theirs)
    assert losses.total.item() < whole.total.item()


@pytest.mark.parametrize(("name", "head"), [("task_weight", "embodiment"), ("embodiment_weight", "task")])
def test_a_contrastive_loss_has_a_gradient_for_its_own_embedding_alone(name: str, head: str) -> None:
    outputs = outputs_of()
    weight: dict[str, Any] = {name: 0.5}
    losses, _ = loss_of(outputs, replace(PLAIN, **weight))
    losses.total.backward()
    mine = getattr(outputs, name.removesuffix("_weight")).grad
    assert mine is not None
    assert mine.any()
    assert getattr(outputs, head).grad is None or not getattr(outputs, head).grad.any()


# the network of the bound


def test_the_bound_has_a_gradient_for_the_task_embedding_alone() -> None:
    """A detector needs the other embedding."""
    outputs = outputs_of()
    losses, _ = loss_of(outputs, replace(PLAIN, club_weight=0.5))
    losses.total.backward()
    assert outputs.task.grad is not None
    assert outputs.task.grad.any()
    assert outputs.embodiment.grad is None or not outputs.embodiment.grad.any()


def test_the_bounds_network_takes_its_steps_first_and_the_detectors_gradient_never_reaches_it() -> None:
    outputs, (untouched, _) = outputs_of(), club_of()
    losses, club = loss_of(outputs, WHOLE)
    assert not any(map(torch.equal, weights(club), weights(untouched)))
    assert not any(part.grad is not None for part in outputs)  # its steps leave the embeddings alone
    learnt = weights(club)
    for parameter in club.parameters():
        parameter.grad = None
    losses.total.backward()
    assert all(parameter.grad is None for parameter in club.parameters())
    assert all(map(torch.equal, weights(club), learnt))
    assert all(part.grad is not None and part.grad.any() for part in outputs)


@pytest.mark.parametrize("count", [1, 3])
def test_the_bounds_network_takes_so_many_steps(count: int) -> None:
    club, optimizer = club_of()
    outputs = outputs_of()
    detector_loss(outputs, batch()[1], None, replace(WHOLE, club_steps=count), club, optimizer)
    assert {int(slot["step"]) for slot in optimizer.state.values()} == {count}


def test_row_weights_apply_to_cross_entropy_alone() -> None:
    """The rows of a contrastive loss are unweighted."""
    weight = torch.full((ROWS,), 0.5, dtype=torch.float64)
    weighted, plain = loss_of(outputs_of(), WHOLE, weight)[0], loss_of(outputs_of(), WHOLE)[0]
    assert weighted.cross_entropy.item() == pytest.approx(0.5 * plain.cross_entropy.item(), abs=1e-12)
    for mine, theirs in zip(weighted[2:], plain[2:], strict=True):
        assert mine is not None
        assert theirs is not None
        assert torch.equal(mine, theirs)


# several workers

SETUPS: dict[str, tuple[LossConfig, bool]] = {
    "all terms": (WHOLE, False),
    "weighted rows": (WHOLE, True),
    "cross-entropy alone": (PLAIN, False),
    "task alone": (replace(PLAIN, task_weight=0.3), False),
    "bound alone": (replace(PLAIN, club_weight=0.5), False),
}
WORKERS, TRAINED = 2, 3


def state_of(loss: LossConfig, worker: Worker = ALONE) -> tuple[State, DetectorConfig]:
    """Return a detector in float64, without random numbers per worker."""
    config = replace(
        TINY, loss=loss, model=replace(MODEL, dropout=0.0, drop_part=0.0), optim=replace(TINY.optim, grad_clip=1e9)
    )
    state = initial_state(config, C, ALONE)
    for module in (state.network, state.club, state.ema.model):
        module.double()
    state.parallel = worker.wrap(state.network)
    return state, config


def train(loss: LossConfig, weighted: bool, worker: Worker = ALONE) -> Found:
    """Return loss and gradients of the first batch, and every tensor after some steps."""
    state, config = state_of(loss, worker)
    item = batch(weighted=weighted)
    inputs, targets, *weight = shard(item, worker)
    outputs = Outputs(*state.parallel(*inputs))
    club = copy.deepcopy(state.club)
    adam = torch.optim.Adam(club.parameters(), lr=1e-2)
    losses = detector_loss(outputs, targets, weight[0] if weight else None, loss, club, adam)
    losses.total.backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in state.network.named_parameters()
        if parameter.grad is not None
    }
    for _ in range(TRAINED):
        optimise(state, config, item, worker)
    return {"loss": losses.total.item(), "gradients": gradients, "tensors": state.tensors()}


def work(rank: int, folder: str) -> None:
    """Run one of the workers and write its results into a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORKERS)
    worker = Worker(rank=rank, world_size=WORKERS, wrap=DistributedDataParallel)
    torch.save({name: train(*setup, worker) for name, setup in SETUPS.items()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Found]]:
    folder = tmp_path_factory.mktemp("workers")
    spawn(work, args=(str(folder),), nprocs=WORKERS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORKERS)]


@pytest.mark.parametrize("name", SETUPS)
@pytest.mark.heavy
def test_two_workers_have_the_loss_and_the_gradients_of_one(workers: list[dict[str, Found]], name: str) -> None:
    """The requirement is 1e-5, float64 gives more; heads without a loss are not waited for."""
    alone = train(*SETUPS[name])
    assert sum(found[name]["loss"] for found in workers) / WORKERS == pytest.approx(alone["loss"], abs=1e-12)
    assert any(float(gradient.abs().max()) > 1e-3 for gradient in alone["gradients"].values())
    for found in workers:
        assert found[name]["gradients"].keys() == alone["gradients"].keys()
        for parameter, gradient in alone["gradients"].items():
            torch.testing.assert_close(found[name]["gradients"][parameter], gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SETUPS)
@pytest.mark.heavy
def test_two_workers_train_the_detector_that_one_trains(workers: list[dict[str, Found]], name: str) -> None:
    """Weights, moments, averages and the bound's network, after some steps."""
    alone = train(*SETUPS[name])["tensors"]
    for found in workers:
        assert found[name]["tensors"].keys() == alone.keys()
        for tensor, wanted in alone.items():
            torch.testing.assert_close(found[name]["tensors"][tensor], wanted, rtol=0, atol=1e-7, msg=tensor)
    club = [{k: v for k, v in found[name]["tensors"].items() if k.startswith("club")} for found in workers]
    assert all(torch.equal(tensor, club[1][key]) for key, tensor in club[0].items())


def test_the_network_accepts_float32_and_float64() -> None:
    """The comparison above assumes that float64 gives the same network."""
    torch.manual_seed(0)
    network = DetectorNetwork(C, WIDTH, MODEL).eval()
    inputs, *_ = batch()
    single = network(inputs.z.float(), inputs.mask, inputs.features.float(), inputs.direction.float())
    for one, other in zip(single, network.double()(*inputs), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5)
