"""Weights in the training loss by a ratio: a known shift is corrected, each source keeps its share, folds are kept."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, Movements, encode
from trainables.data.config import CanonicalConfig
from trainables.generation.conditions import Conditions, conditions_of
from trainables.generation.selection.config import RatioConfig, ReweightConfig
from trainables.generation.selection.density_ratio import folds_of_users
from trainables.generation.selection.fit import SecondRound, fit_selector
from trainables.generation.selection.loss_weights import loss_weights, normalised
from trainables.generation.selection.selector import Selector

FORM = CanonicalConfig("fixed_dt", 32)
CONFIG = RatioConfig(columns=("features",), samples=2, trees=20, folds=4)
MADE_WITH = {"generator_sha256": "g", "data_sha256": "d", "sampling": {}}
USERS, COUNT, STEPS = 10, 400, 24
RARE = 0.2  # share of the late movements among samples; of recordings it is a half
REWEIGHT = ReweightConfig("checkpoint", max_weight=20.0)


def movements(late: torch.Tensor, seed: int) -> Canonical:
    """Movements of one distance, early or late to be fast: same conditions, other profiles of speed."""
    random = torch.Generator().manual_seed(seed)
    fast, slow = torch.randint(7, 10, (2, len(late), STEPS // 2), generator=random)
    slow = slow - 6
    x = torch.where(late[:, None], torch.cat([slow, fast], dim=1), torch.cat([fast, slow], dim=1))
    y = torch.randint(-1, 2, x.shape, generator=random)
    users = tuple(f"user{row % USERS}" for row in range(len(late)))
    steps = torch.stack([x, y], dim=2).double()
    made = Movements(steps, torch.full((len(late),), STEPS), users, source=("mouse",) * len(late))
    return encode(made, FORM)


@dataclass(frozen=True)
class Shifted:
    """A generator that makes late movements in `RARE` of all cases, whatever is asked for."""

    training_conditions: Conditions
    canonical: CanonicalConfig = FORM

    def sample_matching(self, real: Canonical, *, seed: int) -> Canonical:
        late = torch.rand(len(real), generator=torch.Generator().manual_seed(seed)) < RARE
        return replace(movements(late, seed), group=real.group)


LATE = torch.arange(COUNT) // USERS % 2 == 0


@pytest.fixture(scope="module")
def training() -> Canonical:
    return movements(LATE, seed=0)


@pytest.fixture(scope="module")
def selector(training: Canonical) -> Selector:
    fitted = fit_selector(Shifted(conditions_of(training)), training, ["mouse"], CONFIG, MADE_WITH)
    return Selector(fitted.ratios, {**fitted.record, "weights_sha256": "s"})


def weights_of(selector: Selector, training: Canonical, config: ReweightConfig) -> torch.Tensor:
    return loss_weights(selector, training, FORM, conditions_of(training), config).weight


def test_what_samples_show_too_seldom_weighs_more_by_the_ratio_of_the_shares(
    selector: Selector, training: Canonical
) -> None:
    """Late ones are 1/2 of recordings and 1/5 of samples: r = 2.5 and 0.625, a quotient of 4; trees shrink it."""
    weight = weights_of(selector, training, REWEIGHT)
    late, early = weight[LATE], weight[~LATE]
    assert late.median() > 1.0 > early.median()
    assert 2.0 < float(late.mean() / early.mean()) < 6.0
    assert float(weight.mean()) == pytest.approx(1.0)


def test_strength_is_a_power_of_the_ratio_and_0_gives_weights_of_exactly_one(
    selector: Selector, training: Canonical
) -> None:
    whole, half, none = (weights_of(selector, training, replace(REWEIGHT, strength=one)) for one in (1.0, 0.5, 0.0))
    assert torch.equal(none, torch.ones(COUNT))
    assert torch.allclose(half / half[0], (whole / whole[0]).sqrt(), rtol=1e-4)


def test_weights_are_bounded_and_have_a_mean_of_one() -> None:
    log_ratio = np.log(np.array([1e-9, 0.5, 1.0, 3.0, 1e9]))
    weights = normalised(log_ratio, replace(REWEIGHT, max_weight=3.0))
    assert weights.mean() == pytest.approx(1.0)
    assert weights.max() / weights.min() == pytest.approx(9.0)


def test_another_source_keeps_its_weight_of_one(selector: Selector, training: Canonical) -> None:
    """And the source with a ratio its share of the whole."""
    others = replace(training, source=("pen",) * 10 + training.source[10:])
    weight = weights_of(selector, others, REWEIGHT)
    assert torch.equal(weight[:10], torch.ones(10))
    assert float(weight[10:].mean()) == pytest.approx(1.0)


def test_a_user_of_the_fit_is_scored_by_the_fold_without_the_user(selector: Selector, training: Canonical) -> None:
    """The oracle: fold by fold, with the models taken one at a time. A user in no fold has the mean of all."""
    ratio, columns = selector.ratios["mouse"].ratio, selector.ratios["mouse"].columns
    fold_of = folds_of_users(training.group, CONFIG)
    assert sorted(set(fold_of.values())) == [0, 1, 2, 3]
    table = columns(training, training.condition(), training.angle)
    fold = np.array([fold_of[user] for user in training.group])
    found = ratio.out_of_fold(table, np.where(training.group == np.array("user3"), -1, fold))
    for row in range(20):
        rows = table[row : row + 1]
        own = replace(ratio, trees=(ratio.trees[fold[row]],))
        assert found[row] == (ratio(rows) if training.group[row] == "user3" else own(rows))[0]


def test_weights_of_two_rounds_are_those_of_the_bounded_product(selector: Selector, training: Canonical) -> None:
    model = Shifted(conditions_of(training))
    second = SecondRound(2, lambda first: model)
    both = fit_selector(model, training, ["mouse"], CONFIG, MADE_WITH, second=second)
    one = both.ratios["mouse"]
    assert one.second is not None
    assert (both.rounds, selector.rounds) == (2, 1)
    table = one.columns(training, training.condition(), training.angle)
    bound = np.log(CONFIG.max_ratio)
    assert np.array_equal(one.of_table(table), np.clip(one.ratio(table) + one.second(table), -bound, bound))
    assert np.array_equal(one.ratio(table), selector.ratios["mouse"].ratio(table))
    apart = replace(one, ratio=replace(one.ratio, max_ratio=1.2))
    assert np.abs(apart.of_table(table)).max() == pytest.approx(np.log(1.2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"strength": -1.0}, "expected `0 <= strength < inf`, but got strength=-1.0"),
        ({"max_weight": 1.0}, r"expected `1 < max_weight < 1e\+06`, but got max_weight=1.0"),
    ],
)
def test_wrong_keys_are_one_line(given: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        partial(ReweightConfig, "checkpoint")(**given)
