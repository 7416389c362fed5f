"""Statistics of a training split that is passed in parts are those of the whole."""

import pytest
import torch

from trainables.data.companding import compand
from trainables.data.config import DataConfig
from trainables.data.splits import derived
from trainables.data.splits.loading import load_splits
from trainables.data.splits.statistics import fit_statistics


@pytest.mark.parametrize("size", [7, 400, 10_000])
def test_moments_of_parts_are_those_of_the_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last part of 1,513 movements has one movement, then 313; a part may be the whole."""
    monkeypatch.setattr(derived, "PART", size)
    training = load_splits(DataConfig())["train"]
    found, steps = fit_statistics(training, 0.25), compand(training.steps_px(), 0.25)[training.mask]
    torch.testing.assert_close(found.mean, steps.mean(dim=0), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.std, steps.std(dim=0), rtol=1e-12, atol=0)
    known = training.condition()[:, :-1]
    torch.testing.assert_close(found.condition_mean[:-1], known.mean(dim=0), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.condition_std[:-1], known.std(dim=0), rtol=1e-12, atol=0)
