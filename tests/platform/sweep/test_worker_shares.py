"""Values that the workers of a trial cannot share are refused before anything starts."""

from pathlib import Path

import pytest
from rich.console import Console

from platform.core.training_run import train
from platform.study.search_space import sweep_of
from platform.sweep.command import run_sweep
from platform.sweep.worker_shares import require_shares
from platform.tune import COMMAND
from trainables.core.cli import parse
from trainables.core.config import ConfigError, build
from trainables.specs import TRAINABLES
from trainables.training.scaling import ScalingConfig


@pytest.mark.parametrize("trainable", sorted(set(TRAINABLES) - {"physical"}))
def test_two_workers_cannot_share_63_rows(trainable: str, tmp_path: Path) -> None:
    """`physical` has no batches: each of its workers fits all movements."""
    given = (f"trainable={trainable}", f"storage_path={tmp_path}", "trainable.batch_size=63")
    with pytest.raises(ConfigError, match=r"to divide `batch_size`, but got workers=2.*batch_size=63"):
        run_sweep(Console(quiet=True), sweep_of(parse(COMMAND, ("scaling.num_workers=2", *given))), plan_only=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_its_own_is_refused_before_it_has_a_folder(tmp_path: Path) -> None:
    config = build(TRAINABLES["diffusion"].config, {"batch_size": 63})
    with pytest.raises(ConfigError, match=r"`workers \* accumulate` to divide `batch_size`"):
        train("diffusion", config, tmp_path / "run", ScalingConfig(num_workers=2), "local", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("distribution", "workers", "fits"),
    [
        ("choice(32,64)", 2, True),
        ("choice(32,63)", 2, False),
        ("range(32,65,2)", 2, True),
        ("range(32,65)", 2, False),  # both ends fit, 33 does not
        ("choice(48,96)", 3, True),  # the configured 64, which no trial has, does not
    ],
)
def test_every_searched_size_of_a_batch_has_to_fit(distribution: str, workers: int, fits: bool) -> None:
    overrides = (f"scaling.num_workers={workers}", f"trainable.batch_size={distribution}")
    sweep = sweep_of(parse(COMMAND, overrides))
    if fits:
        require_shares(sweep)
        return
    with pytest.raises(ConfigError, match="to divide `batch_size`"):
        require_shares(sweep)


def test_parts_of_a_batch_are_tried_beside_the_searched_sizes() -> None:
    sweep = sweep_of(
        parse(COMMAND, ("scaling.num_workers=2", "trainable.optim.accumulate=4", "trainable.batch_size=60"))
    )
    with pytest.raises(ConfigError, match="workers=2, accumulate=4, batch_size=60; set batch_size to a multiple"):
        require_shares(sweep)
