"""Tests of jobs: bounds that are checked before anything is computed, and pickling."""

import math
import pickle
from typing import Any

import pytest
import torch

from serve import jobs
from serve.distributions import BINS, DISTRIBUTIONS
from serve.jobs import MAX_DISTANCE_PX, MAX_DURATION_S, ROWS_PER_SEED, SEED_LIMIT, Job, ServeError
from trainables.core.config import ConfigError
from trainables.data.config import CONDITION_NAMES, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.generation.conditions import Conditions, conditions_of

ROW = (math.log(0.5), math.log(300.0), 0.1, 1.0, math.nan)
ERRORS = [error for error in vars(jobs).values() if isinstance(error, type) and issubclass(error, ServeError)]


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"n": 0}, "expected `n >= 1`, but got n=0"),
        ({"first": -1}, "`0 <= first`"),
        ({"first": ROWS_PER_SEED}, "continue with another seed"),
        ({"seq_len": -1}, "`seq_len >= 0`"),
        ({"seed": -1}, "`0 <= seed < 2^53`"),
        ({"seed": SEED_LIMIT}, "`0 <= seed < 2^53`"),
        ({"distribution": "any"}, "`distribution` in {even_distance, even_duration, training}"),
        ({"conditions": (ROW, ROW)}, "expected `conditions` to have 1 row or n=3 rows, but got 2 rows"),
        ({"conditions": (ROW[:4],)}, "`columns == 5` (log_duration_s, log_distance_px"),
        ({"conditions": ((math.nan, *ROW[1:]),)}, "finite `conditions`"),
        ({"conditions": ((*ROW[:4], math.inf),)}, "finite `conditions`"),
        ({"conditions": ((math.log(1.1 * MAX_DURATION_S), *ROW[1:]),)}, "`log_duration_s <= log(60)`"),
        ({"conditions": ((ROW[0], math.log(1.1 * MAX_DISTANCE_PX), *ROW[2:]),)}, "`log_distance_px <= log(65536)`"),
        ({"conditions": (ROW,), "distribution": "even_distance"}, "no `distribution` together with `conditions`"),
        ({"hardness": (0.5, 0.4)}, "`0 <= low <= high <= 1`"),
        ({"hardness": (0.5, 1.1)}, "`0 <= low <= high <= 1`"),
        ({"hardness": (math.nan, 0.5)}, "`0 <= low <= high <= 1`"),
        (
            {"hardness": (0.1, 0.5), "conditions": (ROW,) * 3},
            "at most one row of `conditions` together with `hardness`",
        ),
    ],
)
def test_a_value_out_of_bounds_is_refused_in_one_line(job: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        Job(**{"n": 3, **job})
    assert message in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_the_bounds_themselves_are_allowed() -> None:
    assert Job(1, first=ROWS_PER_SEED - 1, seed=SEED_LIMIT - 1, hardness=(0.0, 1.0)).n == 1
    assert Job(3, conditions=(ROW,) * 3) == Job(3, conditions=(ROW,) * 3)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_pickled_with_its_status_and_its_line(error: type[ServeError]) -> None:
    again = pickle.loads(pickle.dumps(error("a line")))
    assert type(again) is error
    assert str(again) == "a line"
    assert (again.status, again.retry_after_s) == (error.status, error.retry_after_s)
    assert 400 <= error.status < 600


def test_jobs_can_be_pickled() -> None:
    job = Job(2, conditions=(ROW,), sampling=SamplingChanges(guidance=2.0), hardness=(0.2, 0.4))
    again = pickle.loads(pickle.dumps(job))
    assert repr(again) == repr(job)


@pytest.fixture(scope="module")
def known() -> Conditions:
    return conditions_of(load_splits(DataConfig())["train"])


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sampled_conditions_are_numbered_rows_of_one_endless_sequence(known: Conditions, name: str) -> None:
    draw = DISTRIBUTIONS[name]
    whole = draw(known, 3000, 5, 64)
    for count in (1, 3, 16, 17, 100, 2999):
        part = draw(known, count, 5, 64)
        assert torch.equal(part.angle, whole.angle[:count])
        assert torch.equal(part.raw[:, :4], whole.raw[:count, :4])
    assert not torch.equal(draw(known, 3000, 6, 64).angle, whole.angle)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sampled_conditions_are_rows_of_training_movements_that_fit(known: Conditions, name: str) -> None:
    drawn = DISTRIBUTIONS[name](known, 500, 0, 20)
    rows = {tuple(row) for row in torch.cat([known.raw[:, :4], known.angle[:, None]], dim=1).tolist()}
    assert all(tuple(row) in rows for row in torch.cat([drawn.raw[:, :4], drawn.angle[:, None]], dim=1).tolist())
    assert float(drawn.raw[:, 0].exp().max()) * 60 < 20.5
    with pytest.raises(ConfigError, match="seq_len=2"):
        DISTRIBUTIONS[name](known, 5, 0, 2)


@pytest.mark.parametrize("column", ["log_distance_px", "log_duration_s"])
def test_an_even_distribution_is_uniform_over_its_ranges(known: Conditions, column: str) -> None:
    """Allow 5 standard deviations of a share of 1 / bins in 8,000 rows: exceeded by chance in 1 of 200,000 draws."""
    at, count = CONDITION_NAMES.index(column), 8000
    fits = known.raw[(known.raw[:, 0].exp() * 60).round() <= 64, at]
    drawn = DISTRIBUTIONS["even_" + column.split("_")[1]](known, count, 0, 64).raw[:, at]
    low, high = float(fits.min()), float(fits.max())
    found = [int(torch.histc(values, BINS, low, high).count_nonzero()) for values in (fits, drawn)]
    share = 1 / found[0]
    most = 5 * math.sqrt(count * share * (1 - share))
    sizes = torch.histc(drawn, BINS, low, high)
    assert found[0] == found[1]
    assert float((sizes[sizes > 0] - count * share).abs().max()) < most
    plain = torch.histc(DISTRIBUTIONS["training"](known, count, 0, 64).raw[:, at], BINS, low, high)
    assert float((plain - count * share).abs().max()) > 2 * most
