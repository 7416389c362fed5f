"""Laws of judging again: the validator's own figures under its own noise, and honest ones without each group."""

import json
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
import pytest
import torch

from trainables.core.config import ConfigError, build
from trainables.data.canonical import Canonical, encode, reobserve, with_deltas
from trainables.data.config import DataConfig
from trainables.data.dataset import DataParts, load_parts
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling import SamplingConfig
from trainables.eval.features.kinematic import movement_features
from trainables.eval.generation.validator import EvaluationConfig, Validator
from trainables.eval.intervals.jackknife import interval
from trainables.eval.metrics import classifier_two_sample_test, mmd_rbf
from trainables.eval.two_sample.mmd import mmd_of_rows
from trainables.gan.config import GanConfig
from trainables.gan.networks import GanModelConfig
from trainables.gan.state import initial_state, save_state
from trainables.generators import LOADERS
from trainables.model_evaluation import JUDGED_ON, Judgement, judge, judged
from trainables.model_evaluation.generator import figures_by_group, groups_of
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.training import metric_names as names
from trainables.training.checkpoint import RECORD, CheckpointError
from trainables.training.trainable import ALONE

EVALUATION = EvaluationConfig(movements=120, probe="logistic")
FIGURES = {
    names.VAL_C2ST,
    names.VAL_MMD,
    names.VAL_PRECISION,
    names.VAL_RECALL,
    names.VAL_MEMORISATION,
    names.VAL_MEMORISED_SHARE,
    names.VAL_REJECTED,
}


@pytest.fixture(scope="module")
def parts() -> DataParts:
    return load_parts(DataConfig())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint of a briefly trained diffusion, and how its training judged it."""
    folder, model = tmp_path_factory.mktemp("run") / "checkpoint", ModelConfig(base_channels=16)
    sampling = SamplingConfig(steps=2)
    config = DiffusionConfig(epochs=1, steps_per_epoch=12, model=model, sampling=sampling, evaluation=EVALUATION)
    *_, last = epochs(config)
    last.save(folder)
    return folder, dict(last.metrics)


@pytest.fixture(scope="module")
def untrained_gan(parts: DataParts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gan") / "checkpoint"
    model = GanModelConfig(widths=(8, 12), latent_dim=4, noise_channels=2, embedding_dim=16)
    config = GanConfig(model=model, evaluation=EVALUATION)
    save_state(initial_state(config, parts.statistics, ALONE), config, parts, folder)
    return folder


@pytest.fixture(scope="module")
def validator(parts: DataParts) -> Validator:
    return Validator.fit(parts["validation"], parts["train"], DataConfig().canonical, EVALUATION)


@pytest.fixture(scope="module")
def machines(validator: Validator) -> Canonical:
    """Like people, but one can tell."""
    machine = MinimumJerk(submovements=2)
    return encode(machine(validator.asked, torch.Generator().manual_seed(0)), DataConfig().canonical)


def test_under_the_validators_own_noise_the_figures_are_its_own(trained: tuple[Path, dict[str, float]]) -> None:
    found = judge(trained[0], "validation", [EVALUATION.seed])
    assert set(found.figures) == FIGURES
    for name, figure in found.figures.items():
        assert figure.value == pytest.approx(trained[1][name], rel=1e-9, abs=1e-12), name
    assert found.movements == 120


def test_values_are_means_over_fresh_noises(trained: tuple[Path, dict[str, float]]) -> None:
    both, first, second = (judge(trained[0], "test", seeds) for seeds in ([1, 2], [1], [2]))
    for name, figure in both.figures.items():
        one, other = first.figures[name], second.figures[name]
        assert both.by_seed[name] == (one.value, other.value)
        assert figure.value == pytest.approx((one.value + other.value) / 2)
        for at, without in enumerate(figure.without):
            assert without == pytest.approx((one.without[at] + other.without[at]) / 2)
    assert first.figures != second.figures


@pytest.mark.parametrize("part", JUDGED_ON)
def test_every_held_out_part_judges_by_its_own_people(untrained_gan: Path, parts: DataParts, part: str) -> None:
    found = judge(untrained_gan, part, [3])
    assert (found.kind, found.part, found.seeds, found.data_sha256) == ("gan", part, (3,), parts.sha256)
    assert set(found.groups) <= set(parts[part].group)
    assert all(len(figure.without) == len(found.groups) for figure in found.figures.values())
    assert interval(found.figures[names.VAL_C2ST]).df == len(found.groups) - 1


def test_a_judgement_survives_json(untrained_gan: Path) -> None:
    found = judge(untrained_gan, "validation", [1])
    assert Judgement.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


@pytest.mark.parametrize("plain", [{}, {"figures": 1}, {"figures": {"val/c2st": {"value": "x"}}}, {"more": 1}])
def test_what_is_no_judgement_is_said_to_be_none(plain: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^not a judgement"):
        Judgement.from_json(plain)


def test_figures_without_a_group_are_those_of_the_other_rows(validator: Validator, machines: Canonical) -> None:
    """Nothing is fitted again: predictions, balls, kernel width and the reference of distances stay what they were."""
    found, groups = figures_by_group(validator, machines), groups_of(validator)
    everything = validator(machines)
    one_person = np.array([group == groups[0] for group in validator.asked.group])
    kept = 1 - one_person.mean()
    for name in (names.VAL_PRECISION, names.VAL_RECALL, names.VAL_MEMORISED_SHARE):
        figure = found[name]
        assert figure.value == everything[name]
        of_the_person = (figure.value - kept * figure.without[0]) / (1 - kept)
        assert -1e-9 <= of_the_person <= 1 + 1e-9, name
        assert of_the_person * one_person.sum() == pytest.approx(round(of_the_person * one_person.sum()), abs=1e-6)


def test_the_accuracy_without_a_group_counts_the_other_rows(validator: Validator, machines: Canonical) -> None:
    """From the predictions of the very same probes: each row is right or wrong, with or without the others."""
    found = figures_by_group(validator, machines)[names.VAL_C2ST]
    test = classifier_two_sample_test(
        validator.features,
        movement_features(machines.deltas, machines.mask),
        real_groups=validator.asked.group,
        fake_groups=machines.group,
        probe=EVALUATION.probe,
        seed=EVALUATION.seed,
    )
    assert found.value == test.accuracy
    sizes = [sum(owner == group for owner in validator.asked.group) for group in groups_of(validator)]
    right = [2 * (120 * found.value - (120 - n) * w) for n, w in zip(sizes, found.without, strict=True)]
    for count, size in zip(right, sizes, strict=True):
        assert count == pytest.approx(round(count), abs=1e-6)
        assert -1e-6 <= count <= 2 * size + 1e-6
    assert sum(right) == pytest.approx(2 * 120 * found.value)


def test_the_ratio_of_distances_without_a_group_leaves_it_out_on_both_sides(
    validator: Validator, machines: Canonical
) -> None:
    produced, _ = reobserve(machines, validator.canonical)
    distance = validator.training.distance(produced.deltas, produced.mask).tolist()
    found = figures_by_group(validator, machines)[names.VAL_MEMORISATION]
    for group, without in zip(groups_of(validator), found.without, strict=True):
        others = [i for i, owner in enumerate(validator.asked.group) if owner != group]
        samples, people = ([d[i] for i in others] for d in (distance, validator.training.reference.tolist()))
        assert without == pytest.approx(median_low(samples) / median_low(people))


def test_mmd_of_chosen_rows_is_that_of_those_rows(validator: Validator) -> None:
    real = validator.features[:40]
    fake = real + 0.3 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = np.array([0, 3, 7, 8, 20, 39])
    statistic = mmd_of_rows(real, fake, 4.0)
    assert statistic(rows) == pytest.approx(mmd_rbf(real[rows], fake[rows], 4.0), rel=1e-9)
    assert statistic(np.arange(40)) == pytest.approx(mmd_rbf(real, fake, 4.0), rel=1e-9)
    with pytest.raises(ValueError, match="rows >= 2"):
        statistic(rows[:1])


def test_rejected_samples_leave_with_their_partners(validator: Validator, machines: Canonical) -> None:
    """A third of the samples of one person do not move: the share says so, and without that person it is 0."""
    groups = groups_of(validator)
    theirs = [i for i, owner in enumerate(validator.asked.group) if owner == groups[0]]
    deltas = machines.deltas.clone()
    deltas[theirs[::3]] = 0.0
    still = with_deltas(machines, deltas)
    found, expected = figures_by_group(validator, still), validator(still)
    for name, figure in found.items():
        assert figure.value == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name
    rejected = found[names.VAL_REJECTED]
    assert rejected.value == pytest.approx(len(theirs[::3]) / 120)
    assert rejected.without[0] == 0.0
    assert all(share > rejected.value for share in rejected.without[1:])


def test_of_a_model_most_of_whose_samples_do_not_move_nothing_else_is_told(validator: Validator) -> None:
    none = with_deltas(validator.asked, torch.zeros_like(validator.asked.deltas))
    assert set(figures_by_group(validator, none)) == {names.VAL_REJECTED}


def test_whoever_was_learned_from_does_not_judge(untrained_gan: Path) -> None:
    for part in ("train", "tset"):
        with pytest.raises(ConfigError, match=f"part={part}"):
            judge(untrained_gan, part, [1])


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_noises_are_different_and_at_least_one(untrained_gan: Path, seeds: list[int]) -> None:
    with pytest.raises(ConfigError, match="`seeds` are different"):
        judge(untrained_gan, "validation", seeds)


def altered(checkpoint: Path, folder: Path, **values: Any) -> Path:
    """The same checkpoint with another record."""
    copy = folder / "checkpoint"
    copy.mkdir()
    for file in checkpoint.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    record = json.loads((copy / RECORD).read_text())
    (copy / RECORD).write_text(json.dumps({**record, **values}))
    return copy


def test_other_data_than_todays_are_refused(untrained_gan: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="trained on other data"):
        judge(altered(untrained_gan, tmp_path, data_sha256="d2"), "validation", [1])


def test_a_task_hands_back_the_reason_instead_of_raising_it(untrained_gan: Path, tmp_path: Path) -> None:
    found = judged(altered(untrained_gan, tmp_path, kind="critic"), "validation", [1])
    assert isinstance(found, str)
    assert all(kind in found for kind in (*LOADERS, "critic"))
    assert "\n" not in found
    assert isinstance(judged(untrained_gan, "validation", [1]), Judgement)


def test_threads_are_as_many_as_before(untrained_gan: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        judge(untrained_gan, "validation", [1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_record_of_a_checkpoint_says_how_it_is_judged(untrained_gan: Path) -> None:
    record = json.loads((untrained_gan / RECORD).read_text())
    assert build(EvaluationConfig, record["config"]["evaluation"]) == EVALUATION
