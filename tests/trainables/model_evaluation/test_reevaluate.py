"""Properties of re-evaluation: the validator's metrics under its noise, and recomputed ones without each user."""

import json
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
import pytest
import torch

from trainables.core.config import ConfigError, build
from trainables.data.canonical import Canonical, encode, reobserve, with_deltas
from trainables.data.config import EVALUATION_SPLITS, CanonicalConfig, DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval
from trainables.eval.metrics import mmd_rbf
from trainables.eval.two_sample.mmd import mmd_of_rows
from trainables.gan.config import GanConfig, GanModelConfig
from trainables.gan.state import initial_state, save_state
from trainables.model_evaluation.generator import metrics_by_user, served_excess, users_of
from trainables.model_evaluation.reevaluate import evaluate, try_evaluate
from trainables.model_evaluation.result import EvaluationResult
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.specs import TRAINABLES
from trainables.training import metric_names as names
from trainables.training.checkpoint import RECORD, CheckpointError
from trainables.training.worker import ALONE

FORM = CanonicalConfig()
EVALUATION = EvaluationConfig(movements=120, probes=("features",))
METRIC_NAMES = {
    names.VAL_AUC_EXCESS,
    names.probe_auc("features"),
    names.probe_accuracy("features"),
    names.probe_floor("features"),
    names.VAL_MMD,
    names.VAL_PRECISION,
    names.VAL_RECALL,
    names.VAL_MEMORISATION,
    names.VAL_MEMORISED_SHARE,
    names.VAL_COPIED_SHARE,
    names.VAL_REJECTED,
}


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint of a briefly trained diffusion, and the metrics of its training."""
    folder, model = tmp_path_factory.mktemp("run") / "checkpoint", ModelConfig(base_channels=16)
    sampling = SamplingConfig(steps=2)
    config = DiffusionConfig(epochs=1, steps_per_epoch=12, model=model, sampling=sampling, evaluation=EVALUATION)
    *_, last = epochs(config)
    last.save(folder)
    return folder, dict(last.metrics)


@pytest.fixture(scope="module")
def untrained_gan(splits: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gan") / "checkpoint"
    model = GanModelConfig(widths=(8, 12), latent_dim=4, noise_channels=2, embedding_dim=16)
    config = GanConfig(model=model, evaluation=EVALUATION)
    save_state(initial_state(config, splits.statistics, ALONE), config, splits, folder)
    return folder


@pytest.fixture(scope="module")
def validator(splits: DataSplits) -> Validator:
    return Validator.fit(splits["validation"], splits["train"], DataConfig().canonical, EVALUATION)


@pytest.fixture(scope="module")
def machines(validator: Validator) -> Canonical:
    """Return synthetic movements that can be distinguished from human ones."""
    machine = MinimumJerk(submovements=2)
    return encode(machine(validator.held_out, torch.Generator().manual_seed(0)), DataConfig().canonical)


def test_under_the_validators_noise_the_metrics_equal_its_metrics(
    trained: tuple[Path, dict[str, float]], splits: DataSplits
) -> None:
    of_validation = splits["validation"], splits["train"]
    found = evaluate(trained[0], "validation", [EVALUATION.seed])
    assert set(found.metrics) == METRIC_NAMES | {names.VAL_SERVED_EXCESS}
    for name in METRIC_NAMES:
        figure = found.metrics[name]
        assert figure.value == pytest.approx(trained[1][name], rel=1e-9, abs=1e-12), name
    assert found.movements == 120
    assert found.effective_users == effective_users(Validator.fit(*of_validation, FORM, EVALUATION).held_out.group)
    assert found.basis == f"120 movements of {len(found.users)} users ({found.effective_users:.1f} effective)"


def test_values_are_means_over_seeds(trained: tuple[Path, dict[str, float]]) -> None:
    both, first, second = (evaluate(trained[0], "test", seeds) for seeds in ([1, 2], [1], [2]))
    for name, figure in both.metrics.items():
        one, other = first.metrics[name], second.metrics[name]
        assert both.by_seed[name] == (one.value, other.value)
        assert figure.value == pytest.approx((one.value + other.value) / 2)
        for at, without in enumerate(figure.without):
            assert without == pytest.approx((one.without[at] + other.without[at]) / 2)
    assert first.metrics != second.metrics


@pytest.mark.parametrize("split", EVALUATION_SPLITS)
def test_each_held_out_split_is_evaluated_on_its_users(untrained_gan: Path, splits: DataSplits, split: str) -> None:
    found = evaluate(untrained_gan, split, [3])
    assert (found.kind, found.split, found.seeds, found.data_sha256) == ("gan", split, (3,), splits.sha256)
    assert set(found.users) <= set(splits[split].group)
    assert all(len(figure.without) == len(found.users) for figure in found.metrics.values())
    assert interval(found.metrics[names.VAL_AUC_EXCESS]).df == len(found.users) - 1


def test_a_result_is_restored_from_its_json(untrained_gan: Path) -> None:
    found = evaluate(untrained_gan, "validation", [1])
    assert EvaluationResult.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def test_a_result_of_an_older_version_is_read(untrained_gan: Path) -> None:
    found = evaluate(untrained_gan, "validation", [1])
    content = found.to_json()
    old = {
        {"metrics": "figures", "users": "groups", "split": "part"}.get(key, key): value
        for key, value in content.items()
    }
    assert set(old) != set(content)
    assert EvaluationResult.from_json(old) == found


@pytest.mark.parametrize("plain", [{}, {"metrics": 1}, {"metrics": {"val/auc_excess": {"value": "x"}}}, {"more": 1}])
def test_a_mapping_that_is_no_result_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^not an evaluation result"):
        EvaluationResult.from_json(plain)


def test_metrics_without_a_user_are_those_of_the_other_rows(validator: Validator, machines: Canonical) -> None:
    """Nothing is fitted again: predictions, balls, kernel width and the reference of distances stay what they were."""
    found, users = metrics_by_user(validator, validator.evaluations(machines)), users_of(validator)
    everything = validator(machines)
    one_user = np.array([group == users[0] for group in validator.held_out.group])
    kept = 1 - one_user.mean()
    for name in (names.VAL_PRECISION, names.VAL_RECALL, names.VAL_MEMORISED_SHARE):
        figure = found[name]
        assert figure.value == everything[name]
        of_the_user = (figure.value - kept * figure.without[0]) / (1 - kept)
        assert -1e-9 <= of_the_user <= 1 + 1e-9, name
        assert of_the_user * one_user.sum() == pytest.approx(round(of_the_user * one_user.sum()), abs=1e-6)


def test_the_excess_without_a_user_is_of_the_same_scores(validator: Validator, machines: Canonical) -> None:
    """Nothing is fitted again: AUC and floor of the other rows, by the scores of all."""
    found = metrics_by_user(validator, validator.evaluations(machines))
    produced, _ = reobserve(machines, validator.canonical)
    [part] = validator.by_source.values()
    scores, floor = part.probes(produced, validator.held_out.group)["features"], part.floors["features"]
    for name, of in ((names.probe_auc("features"), scores), (names.probe_floor("features"), floor)):
        assert found[name].value == of.auc()
    assert found[names.VAL_AUC_EXCESS].value == scores.auc() - floor.auc()
    owner = np.array(validator.held_out.group)
    for group, without in zip(users_of(validator), found[names.VAL_AUC_EXCESS].without, strict=True):
        rows = np.flatnonzero(owner != group)
        assert without == pytest.approx(scores.auc(rows) - floor.auc(rows))


def test_the_served_mode_is_that_of_conditions_of_training_users(validator: Validator) -> None:
    """Copies of the training movements in the floor have no excess; machines have."""
    copies = served_excess(validator, validator.evaluations(validator.others))[names.VAL_SERVED_EXCESS]
    assert copies == JackknifeEstimate(0.0, (0.0,) * len(users_of(validator)))
    machine = encode(MinimumJerk(submovements=1)(validator.others, torch.Generator().manual_seed(0)), FORM)
    machines = served_excess(validator, validator.evaluations(machine))[names.VAL_SERVED_EXCESS]
    assert machines.value > 0.3
    still = with_deltas(validator.others, torch.zeros_like(validator.others.deltas))
    assert served_excess(validator, validator.evaluations(still)) == {}


def test_the_ratio_of_distances_without_a_user_leaves_them_out_on_both_sides(
    validator: Validator, machines: Canonical
) -> None:
    produced, _ = reobserve(machines, validator.canonical)
    [part] = validator.by_source.values()
    distance = part.training.distance(produced.deltas, produced.mask).tolist()
    found = metrics_by_user(validator, validator.evaluations(machines))[names.VAL_MEMORISATION]
    for group, without in zip(users_of(validator), found.without, strict=True):
        others = [i for i, owner in enumerate(validator.held_out.group) if owner != group]
        samples, human = ([d[i] for i in others] for d in (distance, part.training.reference.tolist()))
        assert without == pytest.approx(median_low(samples) / median_low(human))


def test_mmd_of_chosen_rows_is_that_of_those_rows(validator: Validator) -> None:
    [part] = validator.by_source.values()
    real = part.features[:40]
    fake = real + 0.3 * torch.randn(real.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = np.array([0, 3, 7, 8, 20, 39])
    statistic = mmd_of_rows(real, fake, 4.0)
    assert statistic(rows) == pytest.approx(mmd_rbf(real[rows], fake[rows], 4.0), rel=1e-9)
    assert statistic(np.arange(40)) == pytest.approx(mmd_rbf(real, fake, 4.0), rel=1e-9)
    with pytest.raises(ValueError, match="rows >= 2"):
        statistic(rows[:1])


def test_rejected_samples_are_left_out_with_their_partners(validator: Validator, machines: Canonical) -> None:
    """A third of one user's samples do not move: the rejected share counts them, and without that user it is 0."""
    users = users_of(validator)
    theirs = [i for i, owner in enumerate(validator.held_out.group) if owner == users[0]]
    deltas = machines.deltas.clone()
    deltas[theirs[::3]] = 0.0
    still = with_deltas(machines, deltas)
    found, expected = metrics_by_user(validator, validator.evaluations(still)), validator(still)
    for name, figure in found.items():
        assert figure.value == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name
    rejected = found[names.VAL_REJECTED]
    assert rejected.value == pytest.approx(len(theirs[::3]) / 120)
    assert rejected.without[0] == 0.0
    assert all(share > rejected.value for share in rejected.without[1:])


def test_if_most_samples_do_not_move_the_rejected_share_is_the_only_metric(validator: Validator) -> None:
    none = with_deltas(validator.held_out, torch.zeros_like(validator.held_out.deltas))
    assert set(metrics_by_user(validator, validator.evaluations(none))) == {names.VAL_REJECTED}


def test_the_training_split_is_refused(untrained_gan: Path) -> None:
    for split in ("train", "tset"):
        with pytest.raises(ConfigError, match=f"split={split}"):
            evaluate(untrained_gan, split, [1])


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_are_different_and_at_least_one(untrained_gan: Path, seeds: list[int]) -> None:
    with pytest.raises(ConfigError, match="`seeds` to be different"):
        evaluate(untrained_gan, "validation", seeds)


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
        evaluate(altered(untrained_gan, tmp_path, data_sha256="d2"), "validation", [1])


def test_try_evaluate_returns_the_reason_instead_of_raising(untrained_gan: Path, tmp_path: Path) -> None:
    found = try_evaluate(altered(untrained_gan, tmp_path, kind="painter"), "validation", [1])
    assert isinstance(found, str)
    assert all(kind in found for kind in (*TRAINABLES, "painter"))
    assert "\n" not in found
    assert isinstance(try_evaluate(untrained_gan, "validation", [1]), EvaluationResult)


def test_the_number_of_threads_is_restored(untrained_gan: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        evaluate(untrained_gan, "validation", [1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_record_of_a_checkpoint_holds_its_evaluation_configuration(untrained_gan: Path) -> None:
    record = json.loads((untrained_gan / RECORD).read_text())
    assert build(EvaluationConfig, record["config"]["evaluation"]) == EVALUATION
