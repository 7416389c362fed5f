"""Tests of the hot swap: the old model stays until the new one has worked, and models are served by id."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from serve import champions
from serve.champions import RegistryModels
from serve.jobs import DamagedModelError, NoChampionError, NoDetectorError, UnknownModelError
from serve.models import Models
from tests.serve import published
from tests.serve.published import KIND, STRAIGHTNESS, detector, publish, serving
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.spec import DETECTOR
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import CHECKPOINT, HISTORY, Published, Registry
from trainables.models import load_detector
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import WEIGHTS, load_checkpoint, load_record, save_checkpoint


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_without_a_publication_there_is_no_champion_and_the_first_one_is_served(
    storage: Path, checkpoint: Path
) -> None:
    models = Models.below(storage)
    assert not models.champions.swap()
    assert "no champion published yet" in models.champions.last_swap.error
    with pytest.raises(NoChampionError, match="no champion published yet"):
        models.champions.get()
    assert models.describe()["model"] is None
    assert not storage.exists()
    name = publish(Registry.below(storage), checkpoint)
    assert models.champions.swap()
    assert models.champions.get().id == name
    assert models.champions.last_swap.error == ""


def test_a_swap_loads_the_registrys_champion_or_a_pinned_one(storage: Path, checkpoint: Path, other: Path) -> None:
    models, (first,) = serving(storage, checkpoint)
    second = publish(Registry.below(storage), other)
    assert models.champions.get().id == first
    assert models.champions.swap()
    assert models.champions.get().id == second
    assert models.champions.swap(first)
    assert models.champions.get().id == first
    assert models.champions.last_swap.wanted == first
    with lock_registry(Registry.below(storage)) as publisher:
        publisher.rollback()
    assert models.champions.swap()
    assert models.champions.get().id == first


def test_past_champions_are_served_by_id_and_unknown_ids_are_refused(
    storage: Path, checkpoint: Path, other: Path
) -> None:
    models, (first, second) = serving(storage, checkpoint, other)
    assert models.champions.get(second) is models.champions.get()
    assert models.champions.get(first).weights_sha256 == load_record(checkpoint)["weights_sha256"]
    assert models.champions.get(first) is models.champions.get(first)
    for name in ("0009-aaaaaaaaaaaa", first[:-1], f"{first}/", f" {first}"):
        with pytest.raises(UnknownModelError, match="unknown model id"):
            models.champions.get(name)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "0001-aaaaaaaaaaaa/../../..", "0001-aaaaaaaaaaaa\n", "."])
def test_a_malformed_id_never_reaches_the_file_system(
    storage: Path, checkpoint: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, _ = serving(storage, checkpoint)

    def touched(path: Path, *_: object, **__: object) -> None:
        raise AssertionError(f"{path} was accessed")

    for access in ("is_dir", "exists", "open", "stat", "read_text", "read_bytes"):
        monkeypatch.setattr(Path, access, touched)
    with pytest.raises(UnknownModelError):
        models.champions.get(name)
    assert not models.champions.swap(name)
    monkeypatch.undo()
    assert models.champions.last_swap.wanted == name


BAD = ["weights changed by a bit", "an id that never was", "draws infinities", "another kind", "no folder"]


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_champion_leaves_the_old_one_serving_and_reports_the_reason(
    storage: Path, checkpoint: Path, tmp_path: Path, fault: str
) -> None:
    models, (first,) = serving(storage, checkpoint)
    registry, before, wanted, name = Registry.below(storage), models.champions.get(), "", ""
    if fault == "an id that never was":
        wanted = "0007-aaaaaaaaaaaa"
    elif fault == "another kind":
        name = publish(registry, published.altered(checkpoint, tmp_path / "bad", lambda w: w[..., :1].contiguous()))
    else:
        bad = published.altered(checkpoint, tmp_path / "bad", lambda w: w * 1e19)
        name = publish(registry, bad)
    if fault == "weights changed by a bit":
        (registry.path / HISTORY / name / CHECKPOINT / WEIGHTS).write_bytes(b"half")
    elif fault == "no folder":
        shutil.rmtree(registry.path / HISTORY / name)
    message = {
        "weights changed by a bit": "truncated or altered",
        "an id that never was": "unknown model id",
        "draws infinities": "NaN or infinity",
        "another kind": "do not fit",
        "no folder": "unknown model id",
    }[fault]
    assert not models.champions.swap(wanted)
    error = models.champions.last_swap.error
    assert message in error
    assert "\n" not in error
    assert str(storage.parent) not in error
    assert models.champions.get() is before
    assert models.champions.get(first) is before
    assert models.describe()["swap"]["error"] == error
    assert models.describe()["model"]["id"] == first
    assert models.champions.swap(first)
    assert models.champions.last_swap.error == ""


def test_a_damaged_past_champion_is_an_error_and_the_current_one_is_served(
    storage: Path, checkpoint: Path, other: Path
) -> None:
    models, (first, second) = serving(storage, checkpoint, other)
    (Registry.below(storage).path / HISTORY / first / CHECKPOINT / WEIGHTS).write_bytes(b"half")
    with pytest.raises(DamagedModelError, match="truncated or altered") as exc_info:
        models.champions.get(first)
    assert str(exc_info.value).startswith(f"registry/{HISTORY}/{first}/")
    assert str(storage.parent) not in str(exc_info.value)
    assert exc_info.value.status == 410
    assert models.champions.get().id == second


class Loader:
    """Loads an entry, or raises `failure`."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.tried: list[str] = []

    def __call__(self, entry: Published) -> Published:
        self.tried.append(entry.id)
        if self.failure:
            raise self.failure
        return entry


FAILURES = [
    SamplingDivergedError("NaN"),
    ConfigError("a bound"),
    OSError(116, "Stale file handle"),
    ZeroDivisionError(),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_a_past_champion_that_failed_to_load_is_an_error_and_is_not_loaded_at_every_request(
    storage: Path, checkpoint: Path, failure: Exception
) -> None:
    first, load = publish(Registry.below(storage), checkpoint), Loader()
    models: RegistryModels[Any] = RegistryModels(Registry.below(storage), load, NoChampionError, "champion")
    load.failure = failure
    for _ in range(3):
        with pytest.raises(DamagedModelError, match=r"\S"):
            models.get(first)
    assert load.tried == [first]
    load.failure = None
    assert models.swap(first)
    assert models.get(first).id == first


def test_failures_are_forgotten_after_a_while_and_when_there_are_too_many(
    storage: Path, checkpoint: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, load = Registry.below(storage), Loader()
    first, second = publish(registry, checkpoint), publish(registry, other)
    models: RegistryModels[Any] = RegistryModels(registry, load, NoChampionError, "champion")
    load.failure = OSError("stale")

    def ask(name: str) -> None:
        with pytest.raises(DamagedModelError, match="stale"):
            models.get(name)

    monkeypatch.setattr(champions, "FAILURES", 1)
    for name in (first, first, second, first):
        ask(name)
    assert load.tried == [first, second, first]
    monkeypatch.setattr(champions, "FAILURE_TTL_S", 0.0)
    ask(second)
    load.failure = None
    assert models.get(second).id == second


def test_a_registry_that_cannot_be_read_leaves_the_current_champion_and_reports_the_reason(
    storage: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, (first,) = serving(storage, checkpoint)

    def stale(registry: Registry) -> str:
        raise OSError(116, "Stale file handle", str(registry.path / "champion"))

    monkeypatch.setattr(Registry, "champion_id", stale)
    assert not models.champions.follow()
    assert models.champions.last_swap.error == "[Errno 116] Stale file handle: 'registry/champion'"
    assert models.champions.get().id == first


def test_a_caller_that_follows_while_a_model_is_loaded_gets_it(storage: Path, checkpoint: Path) -> None:
    begun, proceed = threading.Event(), threading.Event()

    def slow(entry: Published) -> Published:
        begun.set()
        assert proceed.wait(10.0)
        return entry

    models: RegistryModels[Any] = RegistryModels(Registry.below(storage), slow, NoDetectorError, "detector")
    name, found = publish(Registry.below(storage), checkpoint), list[str]()

    def ask(ready: Callable[[], object]) -> None:
        ready()
        models.follow()
        found.append(models.get().id)

    callers = [threading.Thread(target=ask, args=(ready,)) for ready in (lambda: None, begun.wait)]
    for caller in callers:
        caller.start()
    callers[1].join(0.2)
    proceed.set()
    for caller in callers:
        caller.join()
    assert found == [name, name]


def test_following_swaps_only_when_the_registry_names_another_champion(
    storage: Path, checkpoint: Path, other: Path, tmp_path: Path
) -> None:
    models, (first,) = serving(storage, checkpoint)
    since = models.champions.last_swap
    assert models.champions.follow()
    assert models.champions.last_swap is since
    second = publish(Registry.below(storage), other)
    assert models.champions.follow()
    assert models.champions.get().id == second != first
    bad = publish(Registry.below(storage), published.altered(checkpoint, tmp_path / "bad", lambda w: w * 1e19))
    assert not models.champions.follow()
    failed = models.champions.last_swap
    assert not models.champions.follow()
    assert models.champions.last_swap is failed  # the same bad one is not loaded at every request
    assert (models.champions.get().id, bad != second) == (second, True)


def test_threads_get_a_consistent_champion_while_champions_are_swapped(
    storage: Path, checkpoint: Path, other: Path
) -> None:
    models, ids = serving(storage, checkpoint, other)
    weights = {name: models.champions.get(name).weights_sha256 for name in ids}
    found: list[bool] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            champion = models.champions.get()
            found.append(champion.weights_sha256 == weights[champion.id])

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    for turn in range(20):
        assert models.champions.swap(ids[turn % 2])
    stop.set()
    for caller in callers:
        caller.join()
    assert all(found)
    assert len(found) > 20


def test_the_model_card_holds_the_metrics_of_the_decision_with_intervals_and_counts(
    storage: Path, checkpoint: Path
) -> None:
    models, (first,) = serving(storage, checkpoint)
    card = models.describe()["model"]
    record = load_record(checkpoint)
    assert (card["id"], card["kind"], card["weights_sha256"]) == (first, "diffusion", record["weights_sha256"])
    assert card["data_sha256"] == record["data_sha256"]
    assert card["figures"] == {"val/auc_excess": {"value": 0.1, "low": 0.08, "high": 0.12, "n": 40, "groups": 2}}
    assert card["evaluated_on"] == {"split": "holdout", "data_sha256": "d" * 64, "n": 40, "groups": 2}
    assert card["confidence"] == 0.9
    assert (card["representation"], card["sequence_length"], card["channels"]) == ("fixed_dt", 64, 2)
    assert card["sampling"]["steps"] == 2
    assert card["sources"] == ["cursory", "sapimouse"]
    users = card["users"]
    assert {name: users[name]["users"] for name in ("train", "validation")} == {"train": 25, "validation": 20}
    assert not any(name in json.dumps(card) for names in record["users"].values() for name in names)
    parameters = models.champions.get().generator.model.parameters()
    assert card["parameters"] == sum(p.numel() for p in parameters)
    assert any("synthetic" in line for line in card["limits_of_use"])


def test_the_card_of_a_checkpoint_of_an_older_version_says_that_its_users_are_unknown(
    storage: Path, checkpoint: Path, tmp_path: Path
) -> None:
    tensors, record = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "old", tensors, {key: value for key, value in record.items() if key != "users"})
    models, _ = serving(storage, tmp_path / "old")
    assert models.describe()["model"]["users"] == "unknown: trained before version 0.3.0"


def test_a_decision_without_metrics_makes_a_card_without_metrics(storage: Path, checkpoint: Path) -> None:
    publish(Registry.below(storage), checkpoint, {"reason": "any"})
    models = Models.below(storage)
    assert models.champions.swap()
    card = models.champions.get().card
    assert (card["figures"], card["confidence"], card["evaluated_on"]["n"]) == ({}, None, None)


def test_detectors_have_their_own_registry_and_are_tried_before_a_swap(
    storage: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, _ = serving(storage, checkpoint)
    assert models.describe()["detector"] is None
    with pytest.raises(NoDetectorError, match="no detector published yet"):
        models.detectors.get()
    monkeypatch.setitem(TRAINABLES, KIND, STRAIGHTNESS)
    first = detector(storage, tmp_path / "good")
    card = models.describe()["detector"]
    assert card["id"] == first
    assert any("never the sole basis" in line for line in card["limits_of_use"])
    detector(storage, tmp_path / "bad", power=-1.0)
    assert models.describe()["detector"]["id"] == first
    assert "its score is not a probability" in models.describe()["detector_swap"]["error"]
    assert models.champions.get().id != first


def test_a_detector_of_the_registry_scores_like_its_checkpoint(storage: Path, tmp_path: Path) -> None:
    name = publish(Registry.below(storage, DETECTOR.registry), published.network(tmp_path / "network"))
    models = Models.below(storage)
    assert models.detectors.swap(), models.detectors.last_swap.error
    served, alone = models.detectors.get(), load_detector(tmp_path / "network")
    assert (served.id, served.card["kind"]) == (name, "detector")
    human = load_splits(DataConfig())["validation"].take(torch.arange(5))
    assert torch.equal(served.detector.score(human), alone.score(human))


def test_a_checkpoint_that_is_not_a_detector_is_refused(storage: Path, checkpoint: Path) -> None:
    publish(Registry.below(storage, DETECTOR.registry), checkpoint)
    models = Models.below(storage)
    assert not models.detectors.swap()
    assert "expected a checkpoint of a detector (`detector`), but got diffusion" in models.detectors.last_swap.error


@pytest.mark.parametrize(("kind", "fixture"), [("gan", "adversarial"), ("physical", "physical")])
def test_models_without_a_sampler_have_a_card_without_its_settings(
    storage: Path, kind: str, fixture: str, request: pytest.FixtureRequest
) -> None:
    models, _ = serving(storage, request.getfixturevalue(fixture))
    card = models.champions.get().card
    assert (card["kind"], card["sampling"]) == (kind, None)
    assert torch.isfinite(torch.tensor(float(card["parameters"])))
