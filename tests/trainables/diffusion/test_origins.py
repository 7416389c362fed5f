"""Trainings that begin with weights of a checkpoint, or weigh movements by its selector: what is used, and refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.serve import published
from trainables.core.config import ConfigError
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import epochs
from trainables.generation.selection.config import ReweightConfig
from trainables.training.checkpoint import RECORD, CheckpointError, load_checkpoint, select
from trainables.training.checkpoint_record import SELECTOR
from trainables.training.trainable import Epoch

PLAIN = replace(published.DIFFUSION, steps_per_epoch=3)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A briefly trained diffusion with a selector of one of its two sources."""
    return published.with_selector(published.diffusion(tmp_path_factory.mktemp("model") / "checkpoint"))


def weighing(checkpoint: Path, strength: float) -> DiffusionConfig:
    return replace(PLAIN, reweight=ReweightConfig(str(checkpoint), strength))


def last(config: DiffusionConfig, folder: Path, resume: Path | None = None) -> dict[str, torch.Tensor]:
    *_, epoch = epochs(config, resume=resume)
    return saved(epoch, folder)


def saved(epoch: Epoch, folder: Path) -> dict[str, torch.Tensor]:
    epoch.save(folder)
    return load_checkpoint(folder)[0]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], tensor) for name, tensor in other.items())


def test_weights_of_one_train_as_without_bit_for_bit_and_others_do_not(checkpoint: Path, tmp_path: Path) -> None:
    without = last(PLAIN, tmp_path / "without")
    assert equal(last(weighing(checkpoint, 0.0), tmp_path / "ones"), without)
    assert not equal(last(weighing(checkpoint, 1.0), tmp_path / "ratio"), without)
    record, selector = (
        json.loads((folder / RECORD).read_text()) for folder in (tmp_path / "ratio", checkpoint / SELECTOR)
    )
    assert record["reweight"]["selector_sha256"] == selector["weights_sha256"]
    assert record["reweight"]["generator_sha256"] == selector["generator_sha256"]
    assert record["reweight"]["strength"] == 1.0
    assert [*record["reweight"]["sources"]] == [published.SELECTED_SOURCE]
    assert "reweight" not in json.loads((tmp_path / "without" / RECORD).read_text())


def test_a_run_begins_with_the_averaged_weights_and_resumes_as_if_uninterrupted(
    checkpoint: Path, tmp_path: Path
) -> None:
    config = replace(weighing(checkpoint, 1.0), init_from=str(checkpoint), epochs=2)
    config = replace(config, model=replace(config.model, dropout=0.2))  # what only the loss knows may be another
    run = epochs(config)
    start, given = saved(next(run), tmp_path / "0"), load_checkpoint(checkpoint)[0]
    assert equal(select("model", start), select("ema", given))
    assert equal(select("ema", start), select("ema", given))
    next(run).save(tmp_path / "1")
    whole = saved(next(run), tmp_path / "2")
    assert not equal(select("ema", start), select("ema", whole))
    assert equal(last(config, tmp_path / "resumed", tmp_path / "1"), whole)
    records = [json.loads((tmp_path / name / RECORD).read_text()) for name in ("2", "resumed")]
    assert records[0] == records[1]
    assert records[0]["init_from"]["weights_sha256"] == load_checkpoint(checkpoint)[1]["weights_sha256"]


def changed(folder: Path, **values: object) -> None:
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**record, **values}))


def test_checkpoints_of_other_data_or_without_a_selector_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(checkpoint, tmp_path / "bare", ignore=shutil.ignore_patterns(SELECTOR)))
    with pytest.raises(CheckpointError, match=r"a checkpoint with a selector for reweight.checkpoint; fit one with"):
        next(epochs(weighing(bare, 1.0)))
    elsewhere = Path(shutil.copytree(checkpoint, tmp_path / "elsewhere"))
    changed(elsewhere / SELECTOR, data_sha256="0" * 64)
    with pytest.raises(CheckpointError, match=r"selector: .*trained on other data \(0000"):
        next(epochs(weighing(elsewhere, 1.0)))
    changed(elsewhere, data_sha256="0" * 64)
    for config in (weighing(elsewhere, 1.0), replace(PLAIN, init_from=str(elsewhere))):
        with pytest.raises(CheckpointError, match=r"trained on other data \(0000"):
            next(epochs(config))


def test_initial_weights_of_another_network_are_refused_with_the_key(checkpoint: Path) -> None:
    other = replace(PLAIN, model=ModelConfig(base_channels=32), init_from=str(checkpoint))
    with pytest.raises(
        ConfigError,
        match=r"model.base_channels=16, but got model.base_channels=32; set trainable.model.base_channels=16",
    ):
        next(epochs(other))


def test_a_run_is_not_resumed_with_another_selector(checkpoint: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    first = next(epochs(weighing(copy, 1.0)))
    first.save(tmp_path / "0")
    shutil.rmtree(copy / SELECTOR)
    published.with_selector(copy, replace(published.RATIO, seed=1))
    with pytest.raises(CheckpointError, match=r"by another selector than the present one of reweight.checkpoint"):
        next(epochs(weighing(copy, 1.0), resume=tmp_path / "0"))
