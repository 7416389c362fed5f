"""Properties of a loaded detector: the scores of the saved one, row by row, and the refusal of other checkpoints."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.data.canonical import Canonical, concatenate
from trainables.data.splits.loading import load_splits
from trainables.detector import api
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.bots import BOTS
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.negatives import of_style
from trainables.detector.dataset.training_set import Inputs, Scaling
from trainables.detector.state import initial_state
from trainables.detector.train import epochs
from trainables.models import MovementDetector, load_detector
from trainables.training.checkpoint import RECORD, CheckpointError, load_checkpoint, save_checkpoint, select
from trainables.training.worker import ALONE


@pytest.fixture(scope="module")
def checkpoint(tiny: DetectorConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a detector after a few steps."""
    folder = tmp_path_factory.mktemp("detector") / "checkpoint"
    _, first = islice(epochs(tiny), 2)
    first.save(folder)
    return folder


@pytest.fixture(scope="module")
def detector(checkpoint: Path) -> Detector:
    return load_trained_detector(checkpoint)


@pytest.fixture(scope="module")
def movements(tiny: DetectorConfig) -> Canonical:
    """Return human movements of many lengths, and bots."""
    real = load_splits(tiny.data)["validation"]
    return concatenate(real, *(of_style(style, real, tiny.data.canonical, 0).canonical for style in list(BOTS)[:3]))


# scores


def test_a_score_is_a_probability_in_float64(detector: Detector, movements: Canonical) -> None:
    score = detector.score(movements)
    assert (score.dtype, score.shape) == (torch.float64, (len(movements),))
    assert bool(((score > 0) & (score < 1)).all())
    assert len(set(score.tolist())) > len(movements) // 2


def test_a_loaded_detector_has_the_scores_of_the_saved_one(
    detector: Detector, checkpoint: Path, tiny: DetectorConfig, movements: Canonical
) -> None:
    """Scores use the averaged weights, the scaling of the training users and the temperature, in evaluation mode."""
    tensors, record = load_checkpoint(checkpoint)
    network = initial_state(replace(tiny, seed=5), 2, ALONE).network.eval()
    network.load_state_dict(select("ema", tensors))
    inputs = Scaling.fit(load_splits(tiny.data)).inputs(movements)
    with torch.no_grad():
        logit = network(*inputs).logit.double() / record["temperature"]
    torch.testing.assert_close(detector.score(movements), torch.sigmoid(logit), rtol=0, atol=1e-6)
    torch.testing.assert_close(detector.logit(movements), logit, rtol=0, atol=1e-5)
    network.load_state_dict(select("network", tensors))
    with torch.no_grad():
        assert not torch.allclose(network(*inputs).logit.double() / record["temperature"], logit, rtol=0, atol=1e-5)
    again = load_trained_detector(checkpoint)
    assert torch.equal(again.score(movements), detector.score(movements))
    assert (again.canonical, again.temperature) == (tiny.data.canonical, record["temperature"])


@pytest.mark.parametrize("row", [0, 39, 40, 77])
def test_a_row_does_not_depend_on_other_rows(detector: Detector, movements: Canonical, row: int) -> None:
    together = detector.score(movements)
    alone = detector.score(movements.take(torch.tensor([row])))
    assert float(alone) == pytest.approx(float(together[row]), abs=1e-6)
    some = torch.randperm(len(movements), generator=torch.Generator().manual_seed(row))[:50]
    torch.testing.assert_close(detector.score(movements.take(some)), together[some], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_outputs_do_not_depend_on_how_many_rows_share_a_call(
    detector: Detector, movements: Canonical, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = detector.scaling.inputs(movements)
    whole = detector.outputs(inputs)
    monkeypatch.setattr(api, "ROWS", rows)
    for mine, theirs in zip(detector.outputs(inputs), whole, strict=True):
        assert mine.shape == theirs.shape
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


def test_movements_of_similar_length_share_a_call(detector: Detector, movements: Canonical) -> None:
    """Otherwise all would have the cost of the longest one."""
    widths = list[int]()

    class Counted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = detector.model

        def forward(self, z: Tensor, mask: Tensor, features: Tensor, direction: Tensor) -> Any:
            widths.append(z.shape[1])
            return self.inner(z, mask, features, direction)

    several = concatenate(*[movements] * 4)
    replace(detector, model=Counted()).score(several)
    longest = sorted(several.mask.sum(dim=1).tolist())
    assert widths == [longest[min(start + api.ROWS, len(several)) - 1] for start in range(0, len(several), api.ROWS)]
    assert len(widths) > 2


def test_a_detector_implements_the_protocol(checkpoint: Path, movements: Canonical) -> None:
    found = load_detector(checkpoint)
    assert isinstance(found, Detector)
    assert isinstance(found, MovementDetector)
    assert torch.equal(found.score(movements), load_trained_detector(checkpoint).score(movements))


def test_the_temperature_keeps_the_order(detector: Detector, movements: Canonical) -> None:
    hot, cold = (replace(detector, temperature=value) for value in (3.0, 0.3))
    order = detector.score(movements).argsort()
    for other in (hot, cold):
        assert torch.equal(other.score(movements).argsort(), order)
    assert float((hot.score(movements) - 0.5).abs().max()) < float((cold.score(movements) - 0.5).abs().max())
    torch.testing.assert_close(hot.logit(movements), cold.logit(movements) / 10, rtol=1e-12, atol=0)


def test_inputs_are_trimmed_and_moved_to_the_device_of_the_network(detector: Detector, movements: Canonical) -> None:
    inputs = detector.scaling.inputs(movements.take(torch.arange(3)))
    assert isinstance(inputs, Inputs)
    assert detector.device == torch.device("cpu")
    assert all(part.device == detector.device and not part.requires_grad for part in detector.outputs(inputs))


# refused checkpoints


def test_a_checkpoint_of_another_kind_is_refused(checkpoint: Path, gan: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^{gan}: expected a checkpoint of kind `detector`, but got gan$"):
        load_trained_detector(gan)
    tensors, record = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "other", tensors, {**record, "kind": "diffusion"})
    with pytest.raises(CheckpointError, match=r"kind `detector`, but got diffusion$"):
        load_trained_detector(tmp_path / "other")
    with pytest.raises(CheckpointError, match="no such file"):
        load_trained_detector(tmp_path / "nothing")


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def without(name: str) -> Change:
    def change(tensors: dict[str, Any], record: dict[str, Any]) -> None:
        for key in [key for key in tensors if key.startswith(name)]:
            del tensors[key]
        record.pop(name, None)

    return change


def altered(**values: Any) -> Change:
    return lambda tensors, record: record.update(values)


def wider(tensors: dict[str, Any], record: dict[str, Any]) -> None:
    record["config"]["model"]["width"] = 6


def unknown_key(tensors: dict[str, Any], record: dict[str, Any]) -> None:
    record["config"]["model"]["depth"] = 6


DAMAGE: dict[str, Change] = {
    "no weights": without("ema.deep"),
    "no statistics": without("statistics.mean"),
    "no scaling": without("scaling.mean"),
    "no configuration": without("config"),
    "no temperature": without("temperature"),
    "a temperature of 0": altered(temperature=0.0),
    "a negative temperature": altered(temperature=-1.0),
    "a temperature that is no number": altered(temperature="warm"),
    "wider": wider,
    "an unknown key": unknown_key,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_one_line(checkpoint: Path, tmp_path: Path, damage: str) -> None:
    tensors, record = load_checkpoint(checkpoint)
    DAMAGE[damage](tensors, record)
    save_checkpoint(tmp_path / "damaged", tensors, record)
    with pytest.raises(CheckpointError, match="weights and configuration do not fit: ") as exc_info:
        load_trained_detector(tmp_path / "damaged")
    assert "\n" not in str(exc_info.value)
    assert json.loads((checkpoint / RECORD).read_text())["config"]["model"]["width"] == 4
