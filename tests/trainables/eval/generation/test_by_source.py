"""Metrics by source: each as if its source were the only one, and their mean over sources."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainables.data.source_tables import write_sources
from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, encode, with_deltas
from trainables.data.config import CanonicalConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.generation import comparison, report
from trainables.eval.generation.by_source import equal_shares, mean_over_sources, require_enough, rows_by_source
from trainables.eval.generation.config import EvaluationConfig, MetricConfig
from trainables.eval.generation.validator import Validator
from trainables.eval.two_sample.null_band import NullBand
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.training import metric_names as names

FORM = CanonicalConfig()
QUICK = EvaluationConfig(probes=("features",))
SOURCES = ("first", "second")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> DataSplits:
    return load_splits(write_sources(tmp_path_factory.mktemp("sources") / "table.parquet", *SOURCES))


@pytest.fixture(scope="module")
def validator(splits: DataSplits) -> Validator:
    return Validator.fit(splits["validation"], splits["train"], FORM, QUICK)


@pytest.fixture(scope="module")
def alone(validator: Validator, splits: DataSplits) -> dict[str, Validator]:
    """Return a validator of the movements of each source as if there were no other."""
    parts = {source: validator.held_out.take(torch.from_numpy(rows)) for source, rows in validator.rows.items()}
    return {source: Validator.fit(part, splits["train"], FORM, QUICK) for source, part in parts.items()}


def machines(like: Canonical) -> Canonical:
    return encode(MinimumJerk(submovements=1)(like, torch.Generator().manual_seed(0)), FORM)


def test_every_metric_is_the_mean_over_sources_of_what_each_has_alone(
    validator: Validator, alone: dict[str, Validator]
) -> None:
    samples = machines(validator.held_out)
    found = validator(samples)
    single = {source: one(samples.take(torch.from_numpy(validator.rows[source]))) for source, one in alone.items()}
    headlines = {names.of_source(names.VAL_AUC_EXCESS, source) for source in SOURCES}
    assert set(found) == set(single["first"]) | headlines
    for name in set(found) - headlines:
        assert found[name] == np.mean([single[source][name] for source in SOURCES]), name
    for source in SOURCES:
        assert found[names.of_source(names.VAL_AUC_EXCESS, source)] == single[source][names.VAL_AUC_EXCESS]


def test_a_probe_does_not_see_two_sources(validator: Validator) -> None:
    """Other users read no excess; samples of the other source are distinguished, as they are not in the pool."""
    assert validator(validator.others)[names.VAL_AUC_EXCESS] == 0.0
    first, second = (torch.from_numpy(validator.rows[source]) for source in SOURCES)
    count = min(len(first), len(second))
    order = torch.arange(len(validator.held_out))
    order[first[:count]], order[second[:count]] = second[:count], first[:count]
    exchanged = replace(validator.held_out.take(order), group=validator.held_out.group)
    found = validator(exchanged)
    assert all(found[names.of_source(names.VAL_AUC_EXCESS, source)] > 0.2 for source in SOURCES)


def test_the_band_of_no_difference_is_that_of_the_mean(validator: Validator, alone: dict[str, Validator]) -> None:
    swaps = np.mean([one.by_source[source].swapped_excess() for source, one in alone.items()], axis=0)
    assert validator.no_difference() == NullBand.of(swaps.tolist())


def test_if_most_samples_of_one_source_do_not_move_the_rejected_share_is_the_only_metric(validator: Validator) -> None:
    deltas = validator.held_out.deltas.clone()
    deltas[torch.from_numpy(validator.rows["first"])] = 0.0
    assert validator(with_deltas(validator.held_out, deltas)) == {names.VAL_REJECTED: 0.5}


def test_of_larger_sources_equally_many_movements_are_evaluated(splits: DataSplits) -> None:
    fitted = Validator.fit(splits["validation"], splits["train"], FORM, replace(QUICK, movements=90))
    assert {source: len(rows) for source, rows in fitted.rows.items()} == {"first": 45, "second": 45}
    assert equal_shares({"a": 5, "b": 9, "c": 0}, 12) == {"a": 5, "b": 7, "c": 0}


@pytest.mark.parametrize(
    ("owners", "folds", "message"),
    [
        (["u", "v"] * 19, 5, "expected `evaluated movements of small, with as many of its training users >= 40`, but"),
        (
            ["u"] * 40,
            5,
            "expected `evaluated users of small >= 2`, but got 1; read recordings of more of its users, or",
        ),
        ([f"u{i % 20}" for i in range(60)], 30, "expected `evaluated users of small >= 30`, but got 20; read"),
    ],
)
def test_a_source_with_too_few_movements_or_users_is_named(owners: list[str], folds: int, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        require_enough({"large": ["u", "v"] * 40, "small": owners}, folds)


def test_a_validator_needs_enough_of_each_source(splits: DataSplits) -> None:
    few = torch.cat([torch.from_numpy(rows)[:39] for rows in rows_by_source(splits["validation"].source).values()])
    with pytest.raises(ConfigError, match=r"^expected `evaluated movements of first, .*>= 40`, but got 39; read"):
        Validator.fit(splits["validation"].take(few), splits["train"], FORM, QUICK)


def test_the_mean_over_sources_is_that_of_plain_loops() -> None:
    sources, values = ["b", "a", "b", "b", "a"], np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    rows = rows_by_source(sources)

    def mean_of(source: str, part: Any) -> float:
        return float(values[rows[source]][part].mean())

    statistic = mean_over_sources({source: partial(mean_of, source) for source in rows}, rows)
    for chosen in (range(5), (0, 1, 3), (0, 2), (4,)):
        means = []
        for source in ("a", "b"):
            own = [values[row] for row in chosen if sources[row] == source]
            means += [sum(own) / len(own)] if own else []
        assert statistic(np.array(chosen)) == pytest.approx(sum(means) / len(means))


def test_a_report_has_the_tests_of_each_source_and_their_mean(
    splits: DataSplits, validator: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (comparison, report):
        monkeypatch.setattr(module, "HEADLINE_PROBES", QUICK.probes)
    config = MetricConfig(null_repeats=2)
    fake = machines(validator.held_out)
    found = report.paired_probes(
        comparison.Comparison(validator.held_out, fake, splits["train"], config, in_pairs=True)
    )
    assert set(found["by_source"]) == set(SOURCES)
    for source, one in found["by_source"].items():
        part = validator.held_out.take(torch.from_numpy(validator.rows[source]))
        own = fake.take(torch.from_numpy(validator.rows[source]))
        expected = report.paired_probes(comparison.Comparison(part, own, splits["train"], config, in_pairs=True))
        assert one == {name: expected[name] for name in one}
        assert one["excess"]["df"] == one["users"] - 1
    for name in ("floor", "accuracy"):
        assert found["features"][name] == np.mean([one["features"][name] for one in found["by_source"].values()])
    excess = [one["excess"]["value"] for one in found["by_source"].values()]
    assert found["excess"]["value"] == np.mean(excess)
    assert found["excess"]["df"] == sum(one["users"] for one in found["by_source"].values()) - 1
