"""The benchmark of physical models: the row and the picture of a small fit, and samples of its population."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from scipy import special, stats

from benchmarks.physical import EvaluationRow, fit, sampler, table, unfitted, variance_intervals
from trainables.data.splits.loading import load_splits
from trainables.physical.config import FitConfig, PhysicalConfig
from trainables.physical.fit_plots import plot_fit

CONFIG = PhysicalConfig(epochs=1, fit=FitConfig(movements=60, iterations=3))


def test_a_fit_has_its_row_its_picture_and_samples(tmp_path: Path) -> None:
    splits, picture = load_splits(CONFIG.data), tmp_path / "fits.png"
    row, report, fitted = fit("minimum_jerk", CONFIG, splits)
    assert row.figures["movements"] == 60
    assert set(row.variance) == set(fitted.form.free)
    for shares in row.variance.values():
        assert all(found["low"] <= found["value"] <= found["high"] for found in shares.values())
    assert row.cpu_s > 0
    plot_fit(fitted.trajectories, report.strokes, fitted.form, report.whole, picture)
    with Image.open(picture) as drawn:
        assert drawn.width > 1000
    human = splits["validation"].take(torch.arange(6))
    settings = replace(CONFIG, fit=replace(CONFIG.fit, form="minimum_jerk"))
    for sample in (sampler(report, fitted, settings, splits), unfitted(CONFIG)):
        found = sample(human, 1)
        assert torch.equal(found.deltas, sample(human, 1).deltas)
        assert torch.equal(found.duration_s, human.duration_s)


def test_shares_of_variance_have_intervals_over_users() -> None:
    """A parameter of the user alone and one of neither have intervals that do not overlap."""
    random = torch.Generator().manual_seed(0)
    users = [str(row % 20) for row in range(400)]
    noise = torch.randn(400, 3, generator=random, dtype=torch.float64)
    own = torch.randn(20, generator=random, dtype=torch.float64)[torch.arange(400) % 20]
    values = torch.stack([own + noise[:, 0], noise[:, 1]], dim=1)
    found = variance_intervals(values, noise[:, 2:], users, ("user", "neither"))
    assert found["user"]["user"]["low"] > found["neither"]["user"]["high"]
    one, rare = found["user"]["user"], found["neither"]["user"]
    spread = stats.t.ppf(0.975, one["df"]) * one["se"] / (one["value"] * (1 - one["value"]))
    ends = special.expit([special.logit(one["value"]) - spread, special.logit(one["value"]) + spread])
    assert [one["low"], one["high"]] == pytest.approx(ends.tolist(), rel=1e-9)
    assert rare["low"] == 0.0  # a share of which the logit says nothing is cut there
    assert rare["high"] == pytest.approx(rare["value"] + stats.t.ppf(0.975, rare["df"]) * rare["se"])


def test_the_table_shows_each_interval_and_difference() -> None:
    value = {"value": 0.2, "low": 0.1, "high": 0.3}
    rows = [
        EvaluationRow("first", {"val/auc_excess": value}, {}, {"val/memorised_share": 0.5}),
        EvaluationRow("second", {"val/auc_excess": value}, {"val/auc_excess": value}, {"val/memorised_share": 0.5}),
    ]
    text = table([], rows)
    assert text.count("0.200 [0.100, 0.300]") == 3
    assert text.count("difference") == 1
