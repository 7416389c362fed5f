"""A co-trained checkpoint is evaluated with a card, promoted, and served from the registry, as other generators are."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from platform import promote
from tests.trainables.cotraining.tiny import TINY, few_everywhere
from trainables.core.cli import run
from trainables.cotraining.api import load_cotrained
from trainables.cotraining.train import epochs
from trainables.data.splits.data_splits import DataSplits
from trainables.eval import diffusion_eval
from trainables.model_registry.registry import Registry
from trainables.models import load_generator
from trainables.training.checkpoint import load_record

published = partial(run, promote.COMMAND, promote.main)
evaluated = partial(run, diffusion_eval.COMMAND, diffusion_eval.main)
QUICK = ["split=validation", "eval_seeds=2", "confidence=0.9", "latency.movements=8", "latency.repeats=6"]
LOOSE = ["limits.auc_excess=1", "limits.memorised_share=1", "limits.precision=0", "limits.recall=0"]


@pytest.fixture(scope="module", autouse=True)
def splits() -> Iterator[DataSplits]:
    yield from few_everywhere()


@pytest.fixture(scope="module")
def checkpoint(splits: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first epoch, which samples from the physical model."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    *_, fitted = zip(range(2), epochs(TINY), strict=False)
    fitted[1].save(folder)
    return folder


def test_the_champion_samples_as_the_checkpoint_does(
    checkpoint: Path, splits: DataSplits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert published([f"ckpt={checkpoint}", f"storage_path={tmp_path}", *QUICK, *LOOSE]) == 0
    assert "promoted: 0001-" in capsys.readouterr().out
    entry = Registry.below(tmp_path).champion()
    assert entry is not None
    assert entry.weights_sha256 == load_record(checkpoint)["weights_sha256"]
    real = splits["validation"].take(torch.arange(3))
    samples = load_generator(entry.checkpoint).sample_matching(real, seed=1)
    assert torch.equal(samples.deltas, load_cotrained(checkpoint, side="physical").sample_matching(real, seed=1).deltas)


def test_the_card_names_the_model_that_samples_and_how(checkpoint: Path, tmp_path: Path) -> None:
    few = ["metrics=[spectra]", "n=100", "comparison.folds=2", f"out_dir={tmp_path}", "split=validation"]
    assert evaluated([f"ckpt={checkpoint}", *few]) == 0
    card = (tmp_path / "card.md").read_text()
    assert "Model: cotraining (samples from its physical model), " in card
    assert "- No network: strokes near those of a training movement, " in card
