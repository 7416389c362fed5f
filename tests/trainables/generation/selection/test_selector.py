"""Selection by a checkpoint's selector: each row alone, K=1 as without one, and what is refused in one line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.serve import published
from trainables.core.config import ConfigError
from trainables.data.canonical import reobserve
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator, load_generator
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.generation.conditions import Conditions
from trainables.generation.selection.config import COLUMN_GROUPS, MAX_CANDIDATES
from trainables.generation.selection.fit import fit_selector
from trainables.generation.selection.selector import Selector
from trainables.training.checkpoint import RECORD, WEIGHTS, CheckpointError, file_sha256
from trainables.training.checkpoint_record import SELECTOR

SMALL = replace(published.RATIO, columns=COLUMN_GROUPS)
SOURCE = published.SELECTED_SOURCE


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A briefly trained diffusion with a selector of one of its two sources."""
    return published.with_selector(published.diffusion(tmp_path_factory.mktemp("model") / "checkpoint"), SMALL)


@pytest.fixture(scope="module")
def generator(checkpoint: Path) -> Generator:
    return load_generator(checkpoint).of_source(SOURCE)


def rows(generator: Generator, numbers: list[int], candidates: int, steps: int = 64) -> torch.Tensor:
    """Samples of these numbers, each under the condition of its number, at a length T."""
    conditions = generator.draw_conditions(40, seed=0, longest=40).take(torch.tensor(numbers))
    frame = conditions.frame(generator.canonical_at(steps))
    sampling = generator.sampling_with(SamplingChanges(candidates=candidates))
    return generator.rows(conditions, frame, [(5, number) for number in numbers], sampling)


@pytest.mark.parametrize("candidates", [2, 8])
def test_a_row_has_the_same_bytes_whatever_the_batch_and_the_length(generator: Generator, candidates: int) -> None:
    together = rows(generator, [*range(24)], candidates)
    for numbers in ([3], [23, 3, 11], [*range(23, -1, -1)]):
        assert torch.equal(rows(generator, numbers, candidates), together[numbers])
    shorter = rows(generator, [3, 4], candidates, steps=45)
    assert torch.equal(shorter, together[[3, 4], :45])


def test_one_candidate_is_the_sample_without_a_selector_bit_for_bit(generator: Generator) -> None:
    without = replace(generator, selector=None)
    assert torch.equal(rows(generator, [*range(8)], 1), rows(without, [*range(8)], 1))


def test_the_first_candidate_is_the_sample_without_selection(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(_: Selector, movements: object, conditions: object, keys: list[object]) -> tuple[torch.Tensor, ...]:
        return torch.zeros(len(keys), dtype=torch.int64), torch.ones(len(keys), 4, dtype=torch.float64)

    alone = rows(generator, [*range(8)], 1)
    assert not torch.equal(rows(generator, [*range(8)], 4), alone)
    monkeypatch.setattr(Selector, "chosen", first)
    assert torch.equal(rows(generator, [*range(8)], 4), alone)


def test_every_selected_sample_is_one_of_its_candidates_and_weights_are_reported(generator: Generator) -> None:
    weights = list[torch.Tensor]()
    found = rows(replace(generator, on_weights=weights.append), [*range(8)], 4)
    assert torch.cat(weights).shape == (8, 4)
    assert torch.cat(weights).sum(dim=1).tolist() == pytest.approx([1.0] * 8)
    again = rows(replace(generator, on_weights=weights.append), [*range(8)], 4)
    assert torch.equal(found, again)
    assert torch.equal(*weights)


def test_selection_keeps_what_training_users_are_likelier_to_do(generator: Generator) -> None:
    """The mean log ratio of selected samples is above that of single ones: what the draw is for."""
    splits = load_splits(DataConfig())
    real = splits["train"].take(torch.tensor([i for i, s in enumerate(splits["train"].source) if s == SOURCE][:150]))
    assert generator.selector is not None
    one = generator.selector.ratios[SOURCE]
    means = []
    for candidates in (1, 8):
        chosen = replace(generator, sampling=replace(generator.sampling, candidates=candidates))
        samples, kept = reobserve(chosen.sample_matching(real, seed=3), generator.canonical)
        asked = real.take(kept)
        means.append(float(np.mean(one.ratio(one.columns(samples, asked.condition(), asked.angle)))))
    assert means[1] > means[0] + 0.05


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (0, f"expected `1 <= candidates <= {MAX_CANDIDATES}`, but got candidates=0"),
        (MAX_CANDIDATES + 1, f"expected `1 <= candidates <= {MAX_CANDIDATES}`, but got candidates=65"),
    ],
)
def test_a_number_of_candidates_out_of_bounds_is_one_line(candidates: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SamplingChanges(candidates=candidates)


def test_candidates_without_a_selector_are_refused(generator: Generator) -> None:
    without = replace(generator, selector=None)
    with pytest.raises(ConfigError, match=r"candidates=4 and none; fit one with `python -m platform.selector"):
        without.sampling_with(SamplingChanges(candidates=4))


def test_other_sampling_than_that_of_the_fit_is_refused(generator: Generator) -> None:
    with pytest.raises(ConfigError, match=r"the sampling that the selector was fitted to, but got steps=3; "):
        generator.sampling_with(SamplingChanges(candidates=4, steps=3))
    assert generator.sampling_with(SamplingChanges(candidates=4, steps=2)).candidates == 4


def of_sources(generator: Generator, *names: str) -> Conditions:
    known = generator.training_conditions
    rows = [(known.source == known.sources.index(name)).nonzero()[0, 0] for name in names]
    return known.take(torch.stack(rows))


def test_the_preset_best_takes_candidates_of_the_fitted_sampling_where_the_selector_holds(checkpoint: Path) -> None:
    """Of the sources asked for, and at the steps of the fit, here 2; elsewhere one candidate, and 20 steps."""
    everyone, changes = load_generator(checkpoint), SamplingChanges
    fitted, mixed = of_sources(everyone, SOURCE, SOURCE), of_sources(everyone, SOURCE, "cursory")

    def preset(quality: str, changes: SamplingChanges, conditions: Conditions | None) -> tuple[int, int]:
        found = everyone.sampling_with(changes, quality, conditions)
        return found.steps, found.candidates

    assert preset("best", changes(), fitted) == (2, 4)
    assert preset("best", changes(candidates=6), fitted) == (2, 6)
    assert preset("best", changes(candidates=1), fitted) == (2, 1)
    assert preset("best", changes(steps=2), fitted) == (2, 4)
    assert preset("best", changes(steps=5), fitted) == (5, 1)
    assert preset("best", changes(), mixed) == preset("best", changes(), None) == (20, 1)
    assert preset("fast", changes(), fitted) == (10, 1)
    distilled = replace(everyone, distilled=True)
    assert distilled.sampling_with(changes(), "best", fitted).candidates == 8
    assert distilled.sampling_with(changes(), "fast", fitted) == everyone.sampling
    without = replace(everyone, selector=None).sampling_with(changes(), "best", fitted)
    assert (without.steps, without.candidates) == (20, 1)


def test_rows_of_a_source_without_a_ratio_are_refused(checkpoint: Path) -> None:
    everyone = load_generator(checkpoint)
    with pytest.raises(ConfigError, match=r"of the selector \(sapimouse\) with candidates > 1, but got cursory"):
        rows(everyone, [*range(40)], 2)
    assert len(rows(everyone, [*range(40)], 1)) == 40


def test_a_source_that_the_model_was_not_trained_on_is_refused(generator: Generator) -> None:
    with pytest.raises(
        ConfigError, match=r"`source_names` among those of the training split \(cursory, sapimouse\), but got x"
    ):
        fit_selector(generator, load_splits(DataConfig())["train"], ["x"], SMALL, {})


def truncated(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9])


def of_other_weights(folder: Path) -> None:
    changed(folder, generator_sha256="0" * 64)


def of_another_kind(folder: Path) -> None:
    changed(folder, kind="diffusion")


def without_a_source(folder: Path) -> None:
    changed(folder, sources=["sapimouse", "cursory"])


def with_damaged_trees(folder: Path) -> None:
    """Trees whose nodes lead back to the root, under a hash that fits them."""
    tensors = load_file(folder / WEIGHTS)
    tensors["source0.ratio.fold0.left"] = torch.zeros_like(tensors["source0.ratio.fold0.left"])
    save_file(tensors, folder / WEIGHTS)
    changed(folder, weights_sha256=file_sha256(folder / WEIGHTS))


def changed(folder: Path, **values: object) -> None:
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**record, **values}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "the tensors do not match their record"),
        (of_other_weights, r"fitted to another checkpoint \(weights 000000000000, not .*\); remove the folder"),
        (of_another_kind, "expected a checkpoint of kind `selector`, but got diffusion"),
        (without_a_source, "not a whole selector"),
        (with_damaged_trees, "not a whole selector .*; remove it, and fit it again"),
        (partial(changed, config={}), "not a whole selector"),
    ],
)
def test_a_damaged_or_foreign_selector_is_refused_in_one_line(
    checkpoint: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    damage(copy / SELECTOR)
    with pytest.raises(CheckpointError, match=message) as error:
        load_generator(copy)
    assert "\n" not in str(error.value)


def test_an_earlier_selector_is_replaced_only_if_asked(checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "copy")
    selector = load_generator(copy).selector
    assert selector is not None
    with pytest.raises(CheckpointError, match="give replace=true to fit it again"):
        selector.save(copy)
    selector.save(copy, replace=True)
    assert [path.name for path in sorted(copy.iterdir())] == [RECORD, SELECTOR, WEIGHTS]
    assert load_generator(copy).selector is not None
