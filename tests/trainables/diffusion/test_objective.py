"""The training loss: padding has no effect, weight 0 changes nothing, and the definition of the ranking term."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import binomtest, chisquare
from torch import Tensor

from trainables.contrastive.negatives import ConditionQueue, derangements
from trainables.data.dataset import Batch, Sequences
from trainables.diffusion.models.config import UNetConfig
from trainables.diffusion.models.unet1d import UNet1D
from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.noise.schedule import PREDICTIONS, cosine_schedule
from trainables.diffusion.objective import (
    Denoiser,
    Loss,
    Objective,
    StepRandomness,
    denoising_loss,
    diffusion_loss,
    sample_randomness,
)
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.ranking_term import draw_negatives

SMALL = UNetConfig(condition_dim=3, base_channels=16, channel_mults=(1.0, 1.5), groups=4, embedding_dim=16)
SCHEDULE = cosine_schedule(100)
VELOCITY = Objective(SCHEDULE, PREDICTIONS["v"])
NO_QUEUE = ConditionQueue.empty(0, 3)
PLAIN = ContrastiveConfig()
RANKED = ContrastiveConfig(weight=0.7, temperature=0.5, negatives=3, share=0.5)


def network(config: UNetConfig = SMALL) -> UNet1D:
    """Return a network in evaluation mode with a non-zero head, as after training."""
    torch.manual_seed(0)
    model = UNet1D(config).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    return model


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(b: int = 8, steps: int = 20, seed: int = 0) -> Batch:
    random = seeded(seed)
    mask = torch.arange(steps) < torch.randint(8, steps + 1, (b,), generator=random)[:, None]
    z = torch.randn(b, steps, 2, generator=random) * mask[..., None]
    return Batch(Sequences(z, mask), torch.randn(b, 3, generator=random))


def noise(dropout: float = 0.3) -> NoiseConfig:
    return NoiseConfig(timesteps=100, condition_dropout=dropout)


def step(b: int = 8, dropout: float = 0.3, seed: int = 0) -> tuple[Batch, StepRandomness]:
    batch = batch_of(b, seed=seed)
    return batch, sample_randomness(batch, noise(dropout), seeded(seed))


def ranked(
    batch: Batch, drawn: StepRandomness, config: ContrastiveConfig, random: torch.Generator | None = None
) -> tuple[Batch, StepRandomness]:
    """Return the same step with the configured negatives."""
    negatives = draw_negatives(batch.condition, config, random or seeded(), NO_QUEUE, drawn.drop_condition)
    return batch, drawn._replace(negatives=negatives)


def loss_of(
    given: tuple[Batch, StepRandomness],
    config: ContrastiveConfig = PLAIN,
    model: Denoiser | None = None,
    objective: Objective = VELOCITY,
) -> Loss:
    with torch.no_grad():
        return diffusion_loss(model or network(), objective, *ranked(*given, config), config)


def double(part: Any) -> Any:
    """Every floating-point tensor of a batch or a draw in float64."""
    if isinstance(part, Tensor):
        return part.double() if part.is_floating_point() else part
    if part is None:
        return None
    return type(part)(*map(double, part))


# the mask


def test_the_denoising_loss_is_the_mean_over_valid_steps_and_channels() -> None:
    batch = batch_of()
    v, predicted, mask = torch.randn(8, 20, 2).double(), torch.randn(8, 20, 2).double(), batch.sequences.mask
    found = denoising_loss(v, predicted, mask)
    for b in range(8):
        squares = [float(v[b, s, c] - predicted[b, s, c]) ** 2 for s in range(20) for c in range(2) if bool(mask[b, s])]
        assert float(found[b]) == pytest.approx(sum(squares) / len(squares), rel=1e-12)


def test_the_total_loss_equals_its_definition() -> None:
    """Row by row in scalars: x_t and v from the schedule, squares over valid steps, mean per row, mean over rows."""
    (batch, drawn), model = step(b=3), network()
    total = 0.0
    for b in range(3):
        alpha, sigma = float(SCHEDULE.alpha[drawn.t[b]]), float(SCHEDULE.sigma[drawn.t[b]])
        z, eps, mask = batch.sequences.z[b], drawn.eps[b], batch.sequences.mask[b]
        row = slice(b, b + 1)
        with torch.no_grad():
            x_t = (alpha * z + sigma * eps)[None]
            predicted = model(x_t, drawn.t[row], mask[None], batch.condition[row], drawn.drop_condition[row])[0]
        squares = [
            (alpha * float(eps[s, c]) - sigma * float(z[s, c]) - float(predicted[s, c])) ** 2
            for s in range(20)
            for c in range(2)
            if bool(mask[s])
        ]
        total += sum(squares) / len(squares) / 3
    loss = loss_of((batch, drawn))
    assert float(loss.total) == float(loss.denoising) == pytest.approx(total, rel=1e-5)


def test_a_row_counts_by_its_weight() -> None:
    """By plain loops; with every weight 1 the loss is the unweighted one, bit for bit."""
    model, (batch, drawn) = network(), step()
    weight = torch.rand(8, generator=seeded(3))

    def loss(row_weight: Tensor | None) -> float:
        return diffusion_loss(model, VELOCITY, batch, drawn, PLAIN, row_weight=row_weight).total.item()

    total = 0.0
    for row in range(8):
        own = Batch(Sequences(*(part[row : row + 1] for part in batch.sequences)), batch.condition[row : row + 1])
        t, eps, drop, estimated = (part[row : row + 1] for part in drawn[:4])
        alone = StepRandomness(t, eps, drop, estimated)
        total += float(weight[row]) * diffusion_loss(model, VELOCITY, own, alone, PLAIN).total.item()
    assert loss(weight) == pytest.approx(total / 8, rel=1e-5)
    assert loss(torch.ones(8)) == loss(None)


@pytest.mark.parametrize("config", [PLAIN, RANKED], ids=["plain", "ranked"])
@pytest.mark.parametrize("junk", [1.0, -1e3, 1e15])
def test_nothing_under_the_mask_changes_the_loss(config: ContrastiveConfig, junk: float) -> None:
    batch, drawn = step()
    hidden = ~batch.sequences.mask[..., None]
    z, eps = batch.sequences.z.masked_fill(hidden, junk), drawn.eps.masked_fill(hidden, -3 * junk)
    changed = (Batch(Sequences(z, batch.sequences.mask), batch.condition), drawn._replace(eps=eps))
    assert torch.equal(loss_of(changed, config).total, loss_of((batch, drawn), config).total)


@pytest.mark.parametrize("config", [PLAIN, RANKED], ids=["plain", "ranked"])
@pytest.mark.parametrize("extra", [1, 4, 33])
def test_more_padding_changes_nothing(config: ContrastiveConfig, extra: int) -> None:
    (batch, drawn), model = step(), network().double()
    z, mask = batch.sequences
    padded = Sequences(torch.nn.functional.pad(z, (0, 0, 0, extra)), torch.nn.functional.pad(mask, (0, extra)))
    eps = torch.cat([drawn.eps, torch.randn(8, extra, 2)], dim=1)
    longer = double(Batch(padded, batch.condition)), double(drawn._replace(eps=eps))
    found = loss_of(longer, config, in_double(model))
    expected = loss_of((double(batch), double(drawn)), config, in_double(model))
    torch.testing.assert_close(found.total, expected.total, rtol=1e-6, atol=0.0)


def in_double(model: UNet1D) -> Denoiser:
    """The schedule gives float32 factors, so that x_t is what it is; the network computes in float64."""
    return lambda x, t, mask, condition, drop, estimate: model(x.double(), t, mask, condition, drop)


def test_the_order_of_rows_does_not_count() -> None:
    """Nor with the ranking term, if all rows are ranked against all others."""
    batch, drawn = step()
    order = torch.tensor([5, 2, 7, 0, 1, 6, 3, 4])
    mixed = (
        Batch(Sequences(*(part[order] for part in batch.sequences)), batch.condition[order]),
        StepRandomness(drawn.t[order], drawn.eps[order], drawn.drop_condition[order], drawn.estimated[order]),
    )
    for config in (PLAIN, replace(RANKED, negatives=7, share=1.0)):
        torch.testing.assert_close(loss_of(mixed, config).total, loss_of((batch, drawn), config).total)


def test_a_short_sequence_counts_as_much_as_a_long_one() -> None:
    """Predictions of 0 against v = eps at t = last: each row has mean square 1 at every length."""
    mask = torch.arange(64) < torch.tensor([[8], [64]])
    v = torch.ones(2, 64, 2)
    assert denoising_loss(v, torch.zeros_like(v), mask).tolist() == [1.0, 1.0]


# weight 0


def train(
    loss: Callable[[UNet1D, Batch, StepRandomness, torch.Generator], Tensor],
) -> tuple[list[Tensor], torch.Generator]:
    """Six steps of AdamW from one start, with dropout; the trained weights, and the negatives' generator after them."""
    model, negatives = network(replace(SMALL, dropout=0.2)).train(), seeded(9)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(4)
    for seed in range(6):
        optimizer.zero_grad()
        loss(model, *step(seed=seed), negatives).backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()], negatives


def plain_loss(model: UNet1D, batch: Batch, drawn: StepRandomness, _: torch.Generator) -> Tensor:
    """The oracle: velocity matching and nothing else, independent of the code under test."""
    alpha_t, sigma_t = (part[drawn.t].float()[:, None, None] for part in (SCHEDULE.alpha, SCHEDULE.sigma))
    z, mask = batch.sequences
    x_t, v = alpha_t * z + sigma_t * drawn.eps, alpha_t * drawn.eps - sigma_t * z
    predicted = model(x_t, drawn.t, mask, batch.condition, drawn.drop_condition)
    squares = ((v - predicted).square() * mask[..., None]).sum(dim=(-2, -1))
    total: Tensor = (squares / (mask.sum(dim=1) * 2)).mean()
    return total


def contrastive_loss(config: ContrastiveConfig) -> Callable[[UNet1D, Batch, StepRandomness, torch.Generator], Tensor]:
    return lambda model, batch, drawn, random: (
        diffusion_loss(model, VELOCITY, *ranked(batch, drawn, config, random), config).total
    )


@pytest.mark.parametrize(
    "config",
    [PLAIN, ContrastiveConfig(weight=0.0, temperature=0.01, negatives=500, share=1.0)],
    ids=["defaults", "others"],
)
def test_weight_zero_trains_the_weights_of_the_plain_loss_bit_for_bit(config: ContrastiveConfig) -> None:
    expected, _ = train(plain_loss)
    found, negatives = train(contrastive_loss(config))
    assert all(map(torch.equal, found, expected))
    assert torch.equal(negatives.get_state(), seeded(9).get_state())


def test_a_positive_weight_changes_the_training_and_samples_negatives() -> None:
    expected, _ = train(plain_loss)
    found, negatives = train(contrastive_loss(replace(RANKED, weight=1e-3)))
    assert not all(map(torch.equal, found, expected))
    assert not torch.equal(negatives.get_state(), seeded(9).get_state())


def test_metrics_that_were_not_computed_are_not_reported() -> None:
    assert loss_of(step())[2:] == (None, None)
    assert None not in loss_of(step(), RANKED)


# the ranking term


@pytest.mark.parametrize(("negatives", "share"), [(1, 1.0), (3, 0.5), (7, 0.25)])
def test_the_ranking_term_is_its_definition(negatives: int, share: float) -> None:
    """Each negative by a call of its own; rows whose condition is dropped have no negative."""
    config = replace(RANKED, negatives=negatives, share=share)
    (batch, drawn), model = step(dropout=0.4), network()
    count, negatives_of = round(share * 8), derangements(batch.condition, negatives, seeded())
    assert 0 < int(drawn.drop_condition[:count].sum()) < count

    alpha_t, sigma_t = SCHEDULE.at(drawn.t)
    z, mask = batch.sequences
    x_t, v = alpha_t * z + sigma_t * drawn.eps, alpha_t * drawn.eps - sigma_t * z

    def distance(row: int, other: int) -> float:
        given = (part[row : row + 1] for part in (x_t, drawn.t, mask))
        with torch.no_grad():
            predicted = model(*given, batch.condition[other][None], drawn.drop_condition[row][None])
        return float((v[row, mask[row]] - predicted[0, mask[row]]).square().sum())

    own = [distance(row, row) for row in range(8)]
    scale, losses, right = sum(own) / 8, [], []
    for row in range(count):
        if drawn.drop_condition[row]:
            continue
        others = [distance(row, int(other)) for other in negatives_of.rows[row]]
        right += [own[row] < other for other in others]
        odds = sum(math.exp((own[row] - other) / scale / config.temperature) for other in others)
        losses.append(math.log(1 + odds))
    loss = loss_of((batch, drawn), config, model)
    assert loss.ranking is not None
    assert loss.ranking_accuracy is not None
    assert float(loss.ranking) == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    assert float(loss.ranking_accuracy) == pytest.approx(sum(right) / len(right))
    assert float(loss.total) == pytest.approx(float(loss.denoising) + config.weight * float(loss.ranking), rel=1e-6)
    assert float(loss.denoising) == pytest.approx(float(loss_of((batch, drawn), PLAIN, model).total), rel=1e-5)


def test_the_temperature_means_the_same_at_every_scale() -> None:
    """Data, noise and a linear network ten times larger: squared errors are a hundred times larger, the term is not."""
    batch, drawn = step(dropout=0.0)
    larger = (
        Batch(Sequences(10 * batch.sequences.z, batch.sequences.mask), batch.condition),
        drawn._replace(eps=10 * drawn.eps),
    )

    def linear(x: Tensor, t: Tensor, mask: Tensor, condition: Tensor | None, *_: Tensor | None) -> Tensor:
        assert condition is not None
        return x * condition[:, None, :2]

    one, ten = loss_of((batch, drawn), RANKED, linear), loss_of(larger, RANKED, linear)
    torch.testing.assert_close(ten.ranking, one.ranking)
    torch.testing.assert_close(ten.denoising, 100 * one.denoising)


def test_a_network_that_ignores_its_condition_is_charged_for_a_guess() -> None:
    def deaf(x: Tensor, t: Tensor, mask: Tensor, condition: Tensor | None, *_: Tensor | None) -> Tensor:
        return 0.5 * x

    loss = loss_of(step(dropout=0.0), RANKED, deaf)
    assert loss.ranking is not None
    assert float(loss.ranking) == pytest.approx(math.log(4))


def test_if_all_conditions_are_dropped_the_ranking_loss_is_zero() -> None:
    batch, drawn = step()
    loss = loss_of((batch, drawn._replace(drop_condition=torch.ones(8, dtype=torch.bool))), RANKED)
    assert loss.ranking is not None
    assert float(loss.ranking) == 0.0
    assert torch.equal(loss.total, loss.denoising)


# the draw


def test_random_numbers_depend_on_the_generator_and_not_on_the_data() -> None:
    one, other = (sample_randomness(batch_of(seed=seed), noise(0.5), seeded(3), estimates=True) for seed in (0, 1))
    assert all(map(torch.equal, one[:4], other[:4]))
    assert not torch.equal(one.eps, sample_randomness(batch_of(), noise(0.5), seeded(4)).eps)


def test_times_are_uniform_noise_is_normal_and_conditions_are_dropped_at_their_rate() -> None:
    """Null: p > 1e-4 each, on 4,000 rows (the false-failure rate). Alternative: neighbouring hypotheses fall below."""
    batch = batch_of(4000, steps=8)
    config = NoiseConfig(timesteps=10, condition_dropout=0.1, estimate_share=0.5)
    t, eps, drop, estimated, _ = sample_randomness(batch, config, seeded(1), estimates=True)
    counts = torch.bincount(t, minlength=10).tolist()
    assert len(counts) == 10
    assert chisquare(counts).pvalue > 1e-4
    assert chisquare(counts, [300.0] + [3700 / 9] * 9).pvalue < 1e-4
    assert binomtest(int(drop.sum()), 4000, 0.1).pvalue > 1e-4
    assert binomtest(int(drop.sum()), 4000, 0.13).pvalue < 1e-4
    assert binomtest(int(estimated.sum()), 4000, 0.5).pvalue > 1e-4
    assert binomtest(int(estimated.sum()), 4000, 0.55).pvalue < 1e-4
    beyond = int((eps.abs() > 1.959964).sum())
    assert binomtest(beyond, eps.numel(), 0.05).pvalue > 1e-4
    assert binomtest(beyond, eps.numel(), 0.06).pvalue < 1e-4


def test_dropping_and_estimating_can_be_switched_off() -> None:
    drawn = sample_randomness(batch_of(500), noise(0.0), seeded())
    assert not bool(drawn.drop_condition.any())
    assert not bool(drawn.estimated.any())


# kinds of prediction, weights, estimates


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_perfect_network_has_no_loss_whatever_it_predicts(kind: str) -> None:
    (batch, drawn), prediction = step(dropout=0.0), PREDICTIONS[kind]
    perfect = prediction.target(batch.sequences.z, drawn.eps, *SCHEDULE.at(drawn.t))
    objective = Objective(SCHEDULE, prediction, 5.0)
    assert float(loss_of((batch, drawn), PLAIN, lambda *_: perfect, objective).total) == 0.0
    assert float(loss_of((batch, drawn), PLAIN, lambda *_: perfect + 1.0, objective).total) > 0.0


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_min_snr_weighs_each_row_before_the_mean(kind: str) -> None:
    """In units of the error of x_0 every kind of prediction has the weight min(snr, gamma), row by row."""
    (batch, drawn), objective = step(dropout=0.0), Objective(SCHEDULE, PREDICTIONS[kind], 5.0)
    z, mask = batch.sequences
    alpha_t, sigma_t = SCHEDULE.at(drawn.t)
    x_t, off = alpha_t * z + sigma_t * drawn.eps, torch.randn(8, 20, 2, generator=seeded(5)) * 0.1
    output = objective.prediction.target(z, drawn.eps, alpha_t, sigma_t) + off
    v = objective.prediction.velocity(x_t, output, alpha_t, sigma_t)
    error = alpha_t * x_t - sigma_t * v - z
    total = 0.0
    for b in range(8):
        snr = float((SCHEDULE.alpha[drawn.t[b]] / SCHEDULE.sigma[drawn.t[b]]) ** 2)
        total += min(snr, 5.0) * float(error[b, mask[b]].square().mean()) / 8
    assert float(loss_of((batch, drawn), PLAIN, lambda *_: output, objective).total) == pytest.approx(total, rel=1e-3)


def test_gamma_zero_weighs_all_rows_alike() -> None:
    t = torch.arange(100)
    assert torch.equal(VELOCITY.weight(t), torch.ones(100))
    assert len(set(Objective(SCHEDULE, PREDICTIONS["v"], 5.0).weight(t).tolist())) > 90


def test_chosen_rows_get_their_own_estimate_and_the_others_zero() -> None:
    """By two calls: the first without an estimate, its x_0 into the second; no gradient flows through the first."""
    model = network(replace(SMALL, self_condition=True))
    batch = batch_of()
    drawn = sample_randomness(batch, noise(), seeded(), estimates=True)
    assert 0 < int(drawn.estimated.sum()) < 8
    z, mask = batch.sequences
    alpha_t, sigma_t = SCHEDULE.at(drawn.t)
    x_t, v = alpha_t * z + sigma_t * drawn.eps, alpha_t * drawn.eps - sigma_t * z
    given = (x_t, drawn.t, mask, batch.condition, drawn.drop_condition)
    x_0 = (alpha_t * x_t - sigma_t * model(*given)) * mask[..., None] * drawn.estimated[:, None, None]
    expected = denoising_loss(v, model(*given, x_0.detach()), mask).mean()
    found = diffusion_loss(model, VELOCITY, batch, drawn, PLAIN).total
    torch.testing.assert_close(found, expected)
    ours = torch.autograd.grad(found, list(model.parameters()))
    theirs = torch.autograd.grad(expected, list(model.parameters()))
    torch.testing.assert_close(ours, theirs)
    assert not torch.isclose(found, diffusion_loss(model, VELOCITY, *step(), PLAIN).total)
