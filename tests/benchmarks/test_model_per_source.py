"""Models per source: tables of some users, the FPR on the others, the network without its estimate, and a part."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from benchmarks import model_per_source
from benchmarks.model_per_source import Bench, WithoutEstimate, evaluated, fewer, rate_on_others
from tests.trainables.data.source_tables import write_sources
from trainables.core.config import ConfigError
from trainables.data.config import EVALUATION_SPLITS
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig

SOURCES = ("first", "second")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    write_sources(folder / "recordings.parquet", *SOURCES, users=40, movements=30)
    return Bench(folder / "recordings.parquet", folder / "out", 3, Console(quiet=True))


def test_a_source_has_a_table_of_its_own_and_an_unknown_one_is_refused(bench: Bench) -> None:
    path = bench.data("second").path
    assert path is not None
    assert set(pd.read_parquet(path)["source"]) == {"second"}
    with pytest.raises(ConfigError, match=r"^expected movements of third in .*recordings\.parquet, but got none"):
        bench.data("third")


def test_fewer_training_users_leave_the_evaluated_ones_as_they_are(bench: Bench) -> None:
    whole = load_splits(bench.data("first"))
    without = sorted(set(whole["train"].group))[3:]
    part = load_splits(fewer(bench, "first", without))
    assert set(part["train"].group) == set(whole["train"].group) - set(without)
    for split in EVALUATION_SPLITS:
        assert torch.equal(part[split].deltas, whole[split].deltas)


def test_the_false_positive_rate_is_that_of_the_rows_that_fixed_no_threshold() -> None:
    logits, chosen = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 9.0]), torch.arange(8) < 4
    assert rate_on_others(logits, chosen, 0.25) == 0.5  # of four, one may lie above: the threshold is 2
    assert rate_on_others(logits, chosen, 0.01) == 0.25  # none may: it is 3


def test_a_network_without_its_estimate_is_called_as_the_first_time() -> None:
    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor, t: torch.Tensor, estimate: torch.Tensor | None) -> torch.Tensor:
            return x + t if estimate is None else estimate

    x, t = torch.ones(2), torch.ones(2)
    assert torch.equal(WithoutEstimate(Network())(x, t, torch.zeros(2)), x + t)


def test_fewer_evaluated_users_have_a_row_each(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = EvaluationConfig(movements=40, probes=("features",), folds=2)
    model, sampling = ModelConfig(base_channels=16), SamplingConfig(steps=2)
    data = bench.data("first")
    *_, last = epochs(
        DiffusionConfig(
            epochs=1, steps_per_epoch=1, batch_size=16, data=data, model=model, sampling=sampling, evaluation=evaluation
        )
    )
    last.save(tmp_path / "checkpoint")
    monkeypatch.setattr(Bench, "model", lambda *_: tmp_path / "checkpoint")
    monkeypatch.setattr(model_per_source, "EVALUATION", evaluation)
    lines = evaluated(bench, "first", [12, 500], 2)
    splits = load_splits(data)
    users = {user for split in EVALUATION_SPLITS for user in splits[split].group}
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["12", str(len(users))]
    some, every = json.loads((bench.out / "evaluated.json").read_text())["rows"]
    assert [len(some["choices"]), len(every["choices"])] == [2, 1]
    assert every["choices"][0]["movements"] == sum(len(splits[split]) for split in EVALUATION_SPLITS)
    assert [choice["folds_by"] for choice in (*some["choices"], *every["choices"])] == ["pairs", "pairs", "users"]
