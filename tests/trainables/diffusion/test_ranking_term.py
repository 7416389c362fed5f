"""The ranking term: its steps, the sampled conditions, the predictions, and sharding over workers."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.contrastive.negatives import SOURCES, ConditionQueue
from trainables.contrastive.ranking import NORMALISATIONS, RANKING_LOSSES
from trainables.core.config import ConfigError
from trainables.diffusion.models.config import UNetConfig
from trainables.diffusion.models.unet1d import UNet1D
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.ranking_term import Inputs, Negatives, condition_queue, draw_negatives, predict, ranking_term

SMALL = UNetConfig(
    condition_dim=3, base_channels=16, channel_mults=(1.0, 1.5), groups=4, embedding_dim=16, self_condition=True
)
CONFIG = ContrastiveConfig(weight=0.7, temperature=0.5, negatives=3, share=0.5)
NO_PAST = ConditionQueue.empty(0, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(dropout: float = 0.0) -> UNet1D:
    """Return a network with a non-zero head, as after training."""
    torch.manual_seed(0)
    model = UNet1D(replace(SMALL, dropout=dropout))
    torch.nn.init.normal_(model.head.weight, std=0.1)
    return model


def inputs_of(b: int = 8, steps: int = 16, seed: int = 0) -> Inputs:
    """Noisy sequences of unlike lengths with their conditions and estimates; some rows forget the condition."""
    random = seeded(seed)
    mask = torch.arange(steps) < torch.randint(4, steps + 1, (b,), generator=random)[:, None]
    x_t = torch.randn(b, steps, 2, generator=random)
    t = torch.randint(100, (b,), generator=random)
    drop = torch.rand(b, generator=random) < 0.4
    estimate = torch.randn(b, steps, 2, generator=random)
    return Inputs(x_t, t, mask, torch.randn(b, 3, generator=random), drop, estimate)


def drawn(inputs: Inputs, config: ContrastiveConfig = CONFIG, seed: int = 0) -> Negatives:
    negatives = draw_negatives(inputs.condition, config, seeded(seed), NO_PAST, inputs.drop_condition)
    assert negatives is not None
    return negatives


def distance(one: Tensor, other: Tensor, mask: Tensor) -> float:
    """Sum of squares over valid steps and channels, step by step."""
    return sum(float(one[s, c] - other[s, c]) ** 2 for s in range(len(mask)) for c in range(2) if bool(mask[s]))


# when


@pytest.mark.parametrize(
    "config",
    [ContrastiveConfig(), replace(CONFIG, weight=0.0, negatives=500, source="queue", share=1.0)],
    ids=["defaults", "others"],
)
def test_weight_zero_samples_nothing_and_stores_nothing(config: ContrastiveConfig) -> None:
    random, before = seeded(9), seeded(9).get_state()
    for step in range(3):
        assert draw_negatives(inputs_of().condition, config, random, NO_PAST, step=step) is None
    assert torch.equal(random.get_state(), before)


def test_a_positive_weight_samples_negatives() -> None:
    random = seeded(9)
    assert draw_negatives(inputs_of().condition, replace(CONFIG, weight=1e-6), random, NO_PAST) is not None
    assert not torch.equal(random.get_state(), seeded(9).get_state())


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_the_mean_weight_over_steps_is_the_weight(every: int) -> None:
    config, random, weights = replace(CONFIG, every=every), seeded(), []
    for step in range(42):
        before = random.get_state()
        negatives = draw_negatives(inputs_of().condition, config, random, NO_PAST, step=step)
        assert (negatives is None) == torch.equal(random.get_state(), before) == (step % every != 0)
        weights.append(0.0 if negatives is None else config.step_weight)
    assert sum(weights) / len(weights) == pytest.approx(config.weight)


# which


@pytest.mark.parametrize("source", list(SOURCES))
@pytest.mark.parametrize(("k", "share"), [(1, 1.0), (3, 0.5), (7, 0.1)])
def test_the_conditions_of_the_first_rows_negatives_travel(source: str, k: int, share: float) -> None:
    config, inputs = replace(CONFIG, source=source, negatives=k, share=share), inputs_of()
    queue = condition_queue(config, 3).push(inputs_of(20, seed=5).condition)
    past = queue.rows if source == "queue" else torch.empty(0, 3)
    assert len(queue.rows) == len(past)
    found = draw_negatives(inputs.condition, config, seeded(2), queue, inputs.drop_condition)
    chosen = SOURCES[source](inputs.condition, past, k, seeded(2))
    pool = torch.cat([inputs.condition, past])
    assert found is not None
    assert len(found.condition) == max(1, round(share * 8))
    for i in range(len(found.condition)):
        assert inputs.drop_condition is not None
        assert torch.equal(found.condition[i], pool[chosen.rows[i]])
        assert torch.equal(found.valid[i], chosen.valid[i] & ~inputs.drop_condition[i])


def test_the_ranked_share_is_a_share_of_the_batch_and_at_least_one_row() -> None:
    assert [ContrastiveConfig(share=0.25).ranked(b) for b in (64, 8, 2, 1)] == [16, 2, 1, 1]
    assert [ContrastiveConfig(share=1.0).ranked(b) for b in (64, 7)] == [64, 7]


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`1 <= negatives < batch_size`.*negatives=8, batch_size=8"):
        draw_negatives(inputs_of().condition, replace(CONFIG, negatives=8), seeded(), NO_PAST)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("weight", -0.1),
        ("weight", math.nan),
        ("temperature", 0.0),
        ("negatives", 0),
        ("share", 0.0),
        ("share", 1.1),
        ("margin", -0.1),
        ("margin", math.inf),
        ("every", 0),
        ("queue_size", 0),
        ("loss", "none"),
        ("normalise", "std"),
        ("source", "disk"),
    ],
)
def test_a_config_checks_itself(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{key}={value}"):
        replace(CONFIG, **{key: value})


# the forward passes


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize(("k", "share"), [(1, 1.0), (3, 0.5)])
def test_a_prediction_equals_that_of_a_separate_call(detach: bool, k: int, share: float) -> None:
    inputs, model = inputs_of(), network().eval()
    negatives = drawn(inputs, replace(CONFIG, negatives=k, share=share))
    predicted, contrasted = predict(model, inputs, negatives, detach)
    torch.testing.assert_close(predicted, model(*inputs))
    for i in range(len(negatives.valid)):
        row = Inputs._make(None if part is None else part[i : i + 1] for part in inputs)
        for j in range(k):
            alone = model(*row._replace(condition=negatives.condition[i, j][None]))
            torch.testing.assert_close(contrasted[i, j], alone[0])


def test_the_estimate_belongs_to_its_row() -> None:
    estimate = torch.randn(8, 16, 2)
    inputs = inputs_of()._replace(estimate=estimate)
    predicted, contrasted = predict(lambda *given: given[5], inputs, drawn(inputs), detach=False)
    assert torch.equal(predicted, estimate)
    assert torch.equal(contrasted, estimate[:4, None].expand(-1, 3, -1, -1))


def test_both_kinds_share_one_call_unless_the_negatives_are_detached() -> None:
    sizes: list[tuple[int, bool]] = []

    def model(x_t: Tensor, *rest: Tensor | None) -> Tensor:
        sizes.append((len(x_t), torch.is_grad_enabled()))
        return x_t

    predict(model, inputs_of(), drawn(inputs_of()), detach=False)
    predict(model, inputs_of(), drawn(inputs_of()), detach=True)
    assert sizes == [(8 + 4 * 3, True), (4 * 3, False), (8, True)]


def term(
    model: UNet1D, inputs: Inputs, negatives: Negatives, config: ContrastiveConfig, target: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """The term from the network on."""
    predicted, contrasted = predict(model, inputs, negatives, config.detach_negatives)
    rows = slice(len(negatives.valid))
    return ranking_term(target[rows], inputs.mask[rows], predicted[rows], contrasted, negatives, config, scale)


def gradient(config: ContrastiveConfig, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Of the term by all parameters, with `change` made to the negative predictions before it."""
    inputs, model = inputs_of(), network()
    negatives = drawn(inputs)
    predicted, contrasted = predict(model, inputs, negatives, config.detach_negatives)
    target = torch.randn(8, 16, 2, generator=seeded(3))
    loss, _ = ranking_term(
        target[:4], inputs.mask[:4], predicted[:4], change(contrasted), negatives, config, torch.tensor(20.0)
    )
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)])


def test_detached_negatives_change_the_gradient_by_their_own_part_alone() -> None:
    whole, cut = (gradient(CONFIG, change) for change in (lambda c: c, lambda c: c.detach()))
    detached = gradient(replace(CONFIG, detach_negatives=True), lambda c: c)
    torch.testing.assert_close(detached, cut)
    assert float((whole - cut).norm()) > 1e-2 * float(whole.norm())


# the value


@pytest.mark.parametrize("name", list(RANKING_LOSSES))
@pytest.mark.parametrize("normalise", list(NORMALISATIONS))
def test_the_term_is_its_definition(name: str, normalise: str) -> None:
    """Every row by itself; rows whose condition is dropped have no negative."""
    config = replace(CONFIG, loss=name, normalise=normalise, temperature=4.0 if normalise == "none" else 0.5)
    inputs, target = inputs_of(), torch.randn(8, 16, 2, generator=seeded(3))
    negatives = drawn(inputs, config)
    predicted, contrasted = torch.randn(8, 16, 2, generator=seeded(4)), torch.randn(4, 3, 16, 2, generator=seeded(5))
    own = [distance(target[i], predicted[i], inputs.mask[i]) for i in range(8)]
    scale, losses, right = sum(own) / 8, [], []
    for i in range(4):
        if bool(negatives.valid[i].any()):
            divisor = {"batch": scale, "dimension": 2.0 * int(inputs.mask[i].sum()), "none": 1.0}[normalise]
            others = [distance(target[i], contrasted[i, j], inputs.mask[i]) for j in range(3) if negatives.valid[i, j]]
            right += [own[i] < other for other in others]
            given = torch.tensor([own[i]]) / divisor, torch.tensor([others]) / divisor
            every = torch.ones(1, len(others), dtype=torch.bool)
            losses.append(float(RANKING_LOSSES[name](*given, every, config.temperature, config.margin)))
    assert 0 < len(losses) < 4
    loss, accuracy = ranking_term(
        target[:4], inputs.mask[:4], predicted[:4], contrasted, negatives, config, torch.tensor(scale)
    )
    assert float(loss) == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert float(accuracy) == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("junk", [1e3, -1e18, math.inf])
def test_nothing_under_the_mask_changes_the_term(junk: float) -> None:
    inputs, (target, predicted) = inputs_of(), torch.randn(2, 4, 16, 2, generator=seeded(3))
    contrasted, hidden = torch.randn(4, 3, 16, 2, generator=seeded(5)), ~inputs.mask[:4, :, None]
    negatives, mask, scale = drawn(inputs), inputs.mask[:4], torch.tensor(20.0)
    expected = ranking_term(target, mask, predicted, contrasted, negatives, CONFIG, scale)
    found = ranking_term(
        target.masked_fill(hidden, -junk),
        mask,
        predicted.masked_fill(hidden, junk),
        contrasted.masked_fill(hidden[:, None], 2 * junk),
        negatives,
        CONFIG,
        scale,
    )
    assert found == expected


def test_a_network_that_ignores_its_condition_is_charged_for_a_guess() -> None:
    inputs = inputs_of()._replace(drop_condition=None)
    negatives = drawn(inputs)
    predicted, contrasted = predict(lambda *given: 0.5 * given[0], inputs, negatives, detach=False)
    target, scale = torch.randn(4, 16, 2, generator=seeded(3)), torch.tensor(7.0)
    loss, _ = ranking_term(target, inputs.mask[:4], predicted[:4], contrasted, negatives, CONFIG, scale)
    assert float(loss) == pytest.approx(math.log(4))


# sharding


@pytest.mark.parametrize("share", [1.0, 0.6, 0.1], ids=lambda share: f"share {share}")
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("detach", [False, True])
def test_the_mean_of_the_workers_terms_is_the_term_of_the_batch(share: float, workers: int, detach: bool) -> None:
    """Value and gradient, with unlike numbers of ranked rows, of usable ones, and workers without any."""
    config = replace(CONFIG, share=share, detach_negatives=detach)
    inputs, model, target = inputs_of(seed=1), network(), torch.randn(8, 16, 2, generator=seeded(3))
    negatives, scale = drawn(inputs, config), torch.tensor(20.0)
    parameters = list(model.parameters())

    def of(rank: int, world_size: int) -> Tensor:
        rows = slice(rank, None, world_size)
        part = Inputs._make(None if each is None else each[rows] for each in inputs)
        share_of_negatives = negatives.shard(rank, world_size, torch.device("cpu"))
        loss, _ = term(model, part, share_of_negatives, config, target[rows], scale)
        if not len(share_of_negatives.valid):
            return torch.zeros(1 + sum(p.numel() for p in parameters))
        slopes = torch.autograd.grad(loss, parameters, materialize_grads=True)
        return torch.cat([loss.detach()[None], *(slope.flatten() for slope in slopes)])

    whole = of(0, 1)
    assert float(whole[0]) > 0
    assert share < 1 or workers == 1 or len({int(negatives.valid[r::workers].any(1).sum()) for r in range(workers)}) > 1
    torch.testing.assert_close(torch.stack([of(rank, workers) for rank in range(workers)]).mean(dim=0), whole)


def test_if_all_conditions_are_dropped_the_ranking_loss_is_zero() -> None:
    inputs = inputs_of()._replace(drop_condition=torch.ones(8, dtype=torch.bool))
    model = network()
    loss, accuracy = term(model, inputs, drawn(inputs), CONFIG, torch.randn(8, 16, 2), torch.tensor(20.0))
    assert loss.item() == accuracy.item() == 0.0
    slopes = torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)
    assert not any(bool(slope.any()) for slope in slopes)
