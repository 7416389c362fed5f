"""Laws of changing a champion: the old one stays until the new one has worked, and whoever is asked by id is served."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from serve import champions
from serve.champions import Champions
from serve.jobs import DamagedModelError, NoChampionError, NoDetectorError, UnknownModelError
from serve.models import Models
from tests.serve import published
from tests.serve.published import KIND, detector, load_straightness, publish, serving
from trainables import detectors
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig
from trainables.data.dataset import load_splits
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.model_registry.publisher import held
from trainables.model_registry.registry import CHECKPOINT, HISTORY, Published, Registry
from trainables.training.checkpoint import WEIGHTS, load_record


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_where_nothing_was_published_nobody_is_served_and_the_first_champion_is(
    storage: Path, checkpoint: Path
) -> None:
    models = Models.below(storage)
    assert not models.champions.swap()
    assert "nothing was published yet" in models.champions.swapped.error
    with pytest.raises(NoChampionError, match="nothing was published yet"):
        models.champions.at()
    assert models.describe()["model"] is None
    assert not storage.exists()
    name = publish(Registry.below(storage), checkpoint)
    assert models.champions.swap()
    assert models.champions.at().id == name
    assert models.champions.swapped.error == ""


def test_a_swap_takes_whom_the_registry_names_and_a_pin_stays(storage: Path, checkpoint: Path, other: Path) -> None:
    models, (first,) = serving(storage, checkpoint)
    second = publish(Registry.below(storage), other)
    assert models.champions.at().id == first
    assert models.champions.swap()
    assert models.champions.at().id == second
    assert models.champions.swap(first)
    assert models.champions.at().id == first
    assert models.champions.swapped.wanted == first
    with held(Registry.below(storage)) as publisher:
        publisher.rollback()
    assert models.champions.swap()
    assert models.champions.at().id == first


def test_older_champions_are_served_by_their_id_and_unknown_ids_are_not(
    storage: Path, checkpoint: Path, other: Path
) -> None:
    models, (first, second) = serving(storage, checkpoint, other)
    assert models.champions.at(second) is models.champions.at()
    assert models.champions.at(first).weights_sha256 == load_record(checkpoint)["weights_sha256"]
    assert models.champions.at(first) is models.champions.at(first)
    for name in ("0009-aaaaaaaaaaaa", first[:-1], f"{first}/", f" {first}"):
        with pytest.raises(UnknownModelError, match="nothing of this id was ever published"):
            models.champions.at(name)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "0001-aaaaaaaaaaaa/../../..", "0001-aaaaaaaaaaaa\n", "."])
def test_what_is_no_id_never_reaches_the_file_system(
    storage: Path, checkpoint: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, _ = serving(storage, checkpoint)

    def touched(path: Path, *_: object, **__: object) -> None:
        raise AssertionError(f"{path} was looked at")

    for look in ("is_dir", "exists", "open", "stat", "read_text", "read_bytes"):
        monkeypatch.setattr(Path, look, touched)
    with pytest.raises(UnknownModelError):
        models.champions.at(name)
    assert not models.champions.swap(name)
    monkeypatch.undo()
    assert models.champions.swapped.wanted == name


BAD = ["weights changed by a bit", "an id that never was", "draws infinities", "another kind", "no folder"]


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_champion_leaves_the_old_one_serving_and_says_why(
    storage: Path, checkpoint: Path, tmp_path: Path, fault: str
) -> None:
    models, (first,) = serving(storage, checkpoint)
    registry, before, wanted, name = Registry.below(storage), models.champions.at(), "", ""
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
    says = {
        "weights changed by a bit": "truncated or altered",
        "an id that never was": "nothing of this id was ever published",
        "draws infinities": "NaN or infinity",
        "another kind": "do not fit",
        "no folder": "nothing of this id was ever published",
    }[fault]
    assert not models.champions.swap(wanted)
    error = models.champions.swapped.error
    assert says in error
    assert "\n" not in error
    assert str(storage.parent) not in error
    assert models.champions.at() is before
    assert models.champions.at(first) is before
    assert models.describe()["swap"]["error"] == error
    assert models.describe()["model"]["id"] == first
    assert models.champions.swap(first)
    assert models.champions.swapped.error == ""


def test_an_older_champion_that_is_not_whole_is_told_and_the_present_one_is_served(
    storage: Path, checkpoint: Path, other: Path
) -> None:
    models, (first, second) = serving(storage, checkpoint, other)
    (Registry.below(storage).path / HISTORY / first / CHECKPOINT / WEIGHTS).write_bytes(b"half")
    with pytest.raises(DamagedModelError, match="truncated or altered") as caught:
        models.champions.at(first)
    assert str(caught.value).startswith(f"registry/{HISTORY}/{first}/")
    assert str(storage.parent) not in str(caught.value)
    assert caught.value.status == 410
    assert models.champions.at().id == second


class Loader:
    """Loads what is published, unless it is told to fail."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.tried: list[str] = []

    def __call__(self, entry: Published) -> Published:
        self.tried.append(entry.id)
        if self.failure:
            raise self.failure
        return entry


FAILURES = [SamplingDivergedError("NaN"), ConfigError("a law"), OSError(116, "Stale file handle"), ZeroDivisionError()]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_whatever_keeps_an_older_champion_from_loading_is_told_and_not_tried_at_every_request(
    storage: Path, checkpoint: Path, failure: Exception
) -> None:
    first, load = publish(Registry.below(storage), checkpoint), Loader()
    kept: Champions[Any] = Champions(Registry.below(storage), load, NoChampionError, "champion")
    load.failure = failure
    for _ in range(3):
        with pytest.raises(DamagedModelError, match=r"\S"):
            kept.at(first)
    assert load.tried == [first]
    load.failure = None
    assert kept.swap(first)
    assert kept.at(first).id == first


def test_what_failed_is_forgotten_after_a_while_and_when_too_many_did(
    storage: Path, checkpoint: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, load = Registry.below(storage), Loader()
    first, second = publish(registry, checkpoint), publish(registry, other)
    kept: Champions[Any] = Champions(registry, load, NoChampionError, "champion")
    load.failure = OSError("stale")

    def ask(name: str) -> None:
        with pytest.raises(DamagedModelError, match="stale"):
            kept.at(name)

    monkeypatch.setattr(champions, "FAILED", 1)
    for name in (first, first, second, first):
        ask(name)
    assert load.tried == [first, second, first]
    monkeypatch.setattr(champions, "FAILED_S", 0.0)
    ask(second)
    load.failure = None
    assert kept.at(second).id == second


def test_a_registry_that_cannot_be_read_leaves_the_present_champion_and_says_why(
    storage: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, (first,) = serving(storage, checkpoint)

    def stale(registry: Registry) -> str:
        raise OSError(116, "Stale file handle", str(registry.path / "champion"))

    monkeypatch.setattr(Registry, "champion_id", stale)
    assert not models.champions.follow()
    assert models.champions.swapped.error == "[Errno 116] Stale file handle: 'registry/champion'"
    assert models.champions.at().id == first


def test_who_follows_while_an_entry_is_loaded_gets_it(storage: Path, checkpoint: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(entry: Published) -> Published:
        begun.set()
        assert go_on.wait(10.0)
        return entry

    kept: Champions[Any] = Champions(Registry.below(storage), slow, NoDetectorError, "detector")
    name, found = publish(Registry.below(storage), checkpoint), list[str]()

    def ask(ready: Callable[[], object]) -> None:
        ready()
        kept.follow()
        found.append(kept.at().id)

    askers = [threading.Thread(target=ask, args=(ready,)) for ready in (lambda: None, begun.wait)]
    for asker in askers:
        asker.start()
    askers[1].join(0.2)
    go_on.set()
    for asker in askers:
        asker.join()
    assert found == [name, name]


def test_following_swaps_only_when_the_registry_names_another(
    storage: Path, checkpoint: Path, other: Path, tmp_path: Path
) -> None:
    models, (first,) = serving(storage, checkpoint)
    since = models.champions.swapped
    assert models.champions.follow()
    assert models.champions.swapped is since
    second = publish(Registry.below(storage), other)
    assert models.champions.follow()
    assert models.champions.at().id == second != first
    bad = publish(Registry.below(storage), published.altered(checkpoint, tmp_path / "bad", lambda w: w * 1e19))
    assert not models.champions.follow()
    failed = models.champions.swapped
    assert not models.champions.follow()
    assert models.champions.swapped is failed  # the same bad one is not tried at every request
    assert (models.champions.at().id, bad != second) == (second, True)


def test_many_threads_that_ask_while_champions_change_always_get_a_whole_one(
    storage: Path, checkpoint: Path, other: Path
) -> None:
    models, ids = serving(storage, checkpoint, other)
    weights = {name: models.champions.at(name).weights_sha256 for name in ids}
    found: list[bool] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            champion = models.champions.at()
            found.append(champion.weights_sha256 == weights[champion.id])

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for turn in range(20):
        assert models.champions.swap(ids[turn % 2])
    stop.set()
    for asker in askers:
        asker.join()
    assert all(found)
    assert len(found) > 20


def test_the_card_holds_the_figures_of_the_decision_with_intervals_and_counts(storage: Path, checkpoint: Path) -> None:
    models, (first,) = serving(storage, checkpoint)
    card = models.describe()["model"]
    record = load_record(checkpoint)
    assert (card["id"], card["kind"], card["weights_sha256"]) == (first, "diffusion", record["weights_sha256"])
    assert card["data_sha256"] == record["data_sha256"]
    assert card["figures"] == {"val/c2st": {"value": 0.6, "low": 0.58, "high": 0.62, "n": 40, "groups": 2}}
    assert card["judged_on"] == {"split": "holdout", "data_sha256": "d" * 64, "n": 40, "groups": 2}
    assert card["confidence"] == 0.9
    assert (card["representation"], card["sequence_length"], card["channels"]) == ("fixed_dt", 64, 2)
    assert card["sampling"]["steps"] == 2
    parameters = models.champions.at().generator.model.parameters()
    assert card["parameters"] == sum(p.numel() for p in parameters)
    assert any("synthetic" in line for line in card["limits_of_use"])


def test_a_decision_without_figures_makes_a_card_without(storage: Path, checkpoint: Path) -> None:
    publish(Registry.below(storage), checkpoint, {"reason": "any"})
    models = Models.below(storage)
    assert models.champions.swap()
    card = models.champions.at().card
    assert (card["figures"], card["confidence"], card["judged_on"]["n"]) == ({}, None, None)


def test_detectors_have_a_registry_of_their_own_and_prove_themselves(
    storage: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, _ = serving(storage, checkpoint)
    assert models.describe()["detector"] is None
    with pytest.raises(NoDetectorError, match="no detector: nothing was published yet"):
        models.detectors.at()
    monkeypatch.setitem(detectors.LOADERS, KIND, load_straightness)
    first = detector(storage, tmp_path / "good")
    card = models.describe()["detector"]
    assert card["id"] == first
    assert any("never the sole basis" in line for line in card["limits_of_use"])
    detector(storage, tmp_path / "bad", power=-1.0)
    assert models.describe()["detector"]["id"] == first
    assert "its score is no probability" in models.describe()["detector_swap"]["error"]
    assert models.champions.at().id != first


def test_a_detectors_network_judges(storage: Path, tmp_path: Path) -> None:
    name = publish(Registry.below(storage, detectors.FOLDER), published.network(tmp_path / "network"))
    models = Models.below(storage)
    assert models.detectors.swap(), models.detectors.swapped.error
    judge, alone = models.detectors.at(), detectors.load_detector(tmp_path / "network")
    assert (judge.id, judge.card["kind"]) == (name, "detector")
    people = load_splits(DataConfig())["validation"].take(torch.arange(5))
    assert torch.equal(judge.detector.score(people), alone.score(people))


def test_a_checkpoint_of_no_detector_is_told(storage: Path, checkpoint: Path) -> None:
    publish(Registry.below(storage, detectors.FOLDER), checkpoint)
    models = Models.below(storage)
    assert not models.detectors.swap()
    assert "a checkpoint of a detector (`detector`) is needed, but got diffusion" in models.detectors.swapped.error


def test_an_adversarial_champion_has_a_card_without_sampling(storage: Path, adversarial: Path) -> None:
    models, _ = serving(storage, adversarial)
    card = models.champions.at().card
    assert (card["kind"], card["sampling"]) == ("gan", None)
    assert torch.isfinite(torch.tensor(float(card["parameters"])))
