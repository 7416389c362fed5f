"""Properties of the sources of negatives: conditions row by row, one sampling for all passes, refusals."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.serve import published
from tests.trainables.detector.tiny import assert_same_movements
from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import FAMILIES
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset import negative_sources
from trainables.detector.dataset.mixture import mixture
from trainables.detector.dataset.negative_sources import ScriptedBots, generated, pool, served
from trainables.detector.dataset.negatives import ShortageError, of_style
from trainables.detector.dataset.served_negatives import ServedMovements
from trainables.training.checkpoint import CheckpointError

FORM = CanonicalConfig()


def test_samples_keep_the_duration_and_the_user_of_their_row(
    real: Canonical, gan: Path, diffusion: Path, physical: Path
) -> None:
    for rows in (torch.arange(len(real)), torch.tensor([7, 3, 7, 59, 7])):
        like = real.take(rows)
        for kind, checkpoint in (("gan", gan), ("diffusion", diffusion), ("physical", physical)):
            found = generated(kind, checkpoint, FORM, real, rows, 0)
            assert found.canonical.group == like.group
            assert torch.equal(found.canonical.duration_s, like.duration_s)
            assert torch.equal(found.canonical.mask, like.mask)


def test_a_repeated_condition_has_different_samples_within_a_pass_and_the_same_in_the_next(
    real: Canonical, gan: Path
) -> None:
    one = generated("gan", gan, FORM, real, torch.tensor([7, 3, 7, 7]), 0).canonical
    assert len({row.numpy().tobytes() for row in one.deltas}) == 4
    other = generated("gan", gan, FORM, real, torch.tensor([3, 7]), 1).canonical
    assert torch.equal(other.deltas, one.deltas[[1, 0]])


def test_a_generator_is_loaded_and_sampled_once_for_all_passes(
    real: Canonical, everything: NegativesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.cache_clear()
    calls = list[str]()

    def counted(load: Callable[[Path], Any], checkpoint: Path) -> Any:
        calls.append(str(checkpoint))
        return load(checkpoint)

    for kind, load in negative_sources.LOADERS.items():
        monkeypatch.setitem(negative_sources.LOADERS, kind, partial(counted, load))
    for seed in range(4):
        assert len(mixture(real, 50, everything, FORM, seed)) == 50
    assert sorted(calls) == sorted(
        [everything.gan_checkpoint, everything.diffusion_checkpoint, everything.physical_checkpoint]
    )


def test_other_weights_at_the_same_path_are_sampled_again(real: Canonical, gan: Path, tmp_path: Path) -> None:
    place, rows = tmp_path / "best", torch.arange(3)
    place.symlink_to(gan)
    one = generated("gan", place, FORM, real, rows, 0)
    other = published.altered(gan, tmp_path / "other", lambda weight: weight * 0.5)
    place.unlink()
    place.symlink_to(other)
    found = generated("gan", place, FORM, real, rows, 0)
    assert found.model != one.model
    assert not torch.equal(found.canonical.deltas, one.canonical.deltas)


def test_styles_have_equal_shares_and_are_mixed(real: Canonical) -> None:
    families = ("straight", "spline", "replay")
    found = ScriptedBots(families, FORM)(real, 0)
    styles = [style for family in families for style in FAMILIES[family]]
    counts = Counter(found.style)
    assert set(counts) == set(styles)
    assert max(counts.values()) - min(counts.values()) <= 1
    changes = sum(one != other for one, other in zip(found.style, found.style[1:], strict=False))
    assert changes > 2 * len(styles)  # in blocks there would be len(styles) - 1


def test_a_row_is_made_by_its_style_under_its_condition(real: Canonical) -> None:
    found = ScriptedBots(("straight", "noise"), FORM)(real, 4)
    for style in set(found.style):
        rows = torch.tensor([row for row, name in enumerate(found.style) if name == style])
        alone = of_style(style, real.take(rows), FORM, 4)
        assert_same_movements(found.canonical.take(rows), alone.canonical)


def test_a_generator_of_another_form_or_kind_is_refused(real: Canonical, gan: Path, diffusion: Path) -> None:
    rows = torch.arange(2)
    with pytest.raises(ConfigError, match=r"^expected the canonical form of the generator to be the detector's,"):
        generated("gan", gan, CanonicalConfig(sequence_length=65), real, rows, 0)
    with pytest.raises(CheckpointError, match=r"kind `gan`, but got diffusion$"):
        generated("gan", diffusion, FORM, real, rows, 0)
    with pytest.raises(CheckpointError, match=r"kind `diffusion`, but got gan$"):
        generated("diffusion", gan, FORM, real, rows, 0)
    with pytest.raises(CheckpointError, match="no such file"):
        generated("gan", gan / "nothing", FORM, real, rows, 0)


def test_served_movements_are_sampled_without_replacement(
    real: Canonical, folder: Path, stored: ServedMovements
) -> None:
    known = {row.numpy().tobytes() for row in stored.canonical.deltas}
    found = [served(folder, FORM, real.take(torch.arange(20)), seed).canonical.deltas for seed in (0, 1)]
    drawn = [{row.numpy().tobytes() for row in deltas} for deltas in found]
    assert all(len(rows) == 20 and rows <= known for rows in drawn)
    assert drawn[0] != drawn[1]
    whole = served(folder, FORM, real.take(torch.arange(30)), 0)
    assert {row.numpy().tobytes() for row in whole.canonical.deltas} == known
    assert whole.model == (stored.model_sha256,) * 30


def test_too_few_served_movements_are_an_error(real: Canonical, folder: Path) -> None:
    with pytest.raises(ShortageError, match=rf"expected `served movements >= 31`, but {folder} has 30; fetch more"):
        served(folder, FORM, real.take(torch.arange(31)), 0)
    with pytest.raises(ConfigError, match=rf"^expected the canonical form of {folder} to be the detector's"):
        served(folder, CanonicalConfig("events"), real, 0)
