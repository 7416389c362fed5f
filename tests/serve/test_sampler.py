"""Tests of a sampler replica without Ray: its results, and how its champion is swapped from outside."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from serve import sampler as sampler_module
from serve.follow import RegistryWatcher
from serve.jobs import Job, SampleResult, UnknownModelError
from serve.sampler import Sampler
from serve.settings import ServeConfig
from tests.serve.published import KIND, STRAIGHTNESS, Straightness, detector, load_straightness, publish
from trainables.model_registry.registry import Registry
from trainables.specs import TRAINABLES


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def champion(sampler: Sampler) -> str:
    return str(asyncio.run(sampler.describe())["model"]["id"])


def test_a_replica_computes_with_its_threads_and_champion(tmp_path: Path, checkpoint: Path) -> None:
    name = publish(Registry.below(tmp_path), checkpoint)
    sampler = Sampler(ServeConfig(str(tmp_path)))
    assert torch.get_num_threads() == 1
    sampled = asyncio.run(sampler.sample(Job(n=2, seed=3)))
    answer = asyncio.run(sampler.sample_or_error(Job(n=2, seed=3)))
    assert isinstance(answer, SampleResult)
    assert answer.model == sampled.model == name
    assert np.array_equal(answer.deltas, sampled.deltas)


def test_an_error_of_a_client_is_returned_to_the_ingress_and_raised_for_a_handle(
    tmp_path: Path, checkpoint: Path
) -> None:
    publish(Registry.below(tmp_path), checkpoint)
    sampler = Sampler(ServeConfig(str(tmp_path)))
    unknown = Job(n=1, model="0009-aaaaaaaaaaaa")
    assert isinstance(asyncio.run(sampler.sample_or_error(unknown)), UnknownModelError)
    with pytest.raises(UnknownModelError):
        asyncio.run(sampler.sample(unknown))
    assert not isinstance(asyncio.run(sampler.score_or_error([])), list)  # no detector is published


def test_a_user_config_pins_and_unpins_a_champion(tmp_path: Path, checkpoint: Path, other: Path) -> None:
    registry = Registry.below(tmp_path)
    first, second = publish(registry, checkpoint), publish(registry, other)
    sampler = Sampler(ServeConfig(str(tmp_path), champion=first))
    assert champion(sampler) == first
    asyncio.run(sampler.reconfigure({"champion": second}))
    assert champion(sampler) == second
    asyncio.run(sampler.reconfigure({"champion": first}))
    asyncio.run(sampler.reconfigure({"champion": ""}))
    assert champion(sampler) == second


@pytest.mark.parametrize("user_config", [{"champion": "0009-aaaaaaaaaaaa"}, {"champion": "../x"}, {"champion": 3}])
def test_a_wrong_user_config_is_reported_and_does_not_stop_the_replica(
    tmp_path: Path, checkpoint: Path, user_config: dict[str, object]
) -> None:
    name = publish(Registry.below(tmp_path), checkpoint)
    sampler = Sampler(ServeConfig(str(tmp_path)))
    asyncio.run(sampler.reconfigure(user_config))
    state = asyncio.run(sampler.describe())
    assert state["model"]["id"] == name
    assert state["swap"]["wanted"] == str(user_config["champion"])
    assert state["swap"]["error"]


def test_a_replica_without_a_champion_starts_and_serves_the_first_promoted_one(
    tmp_path: Path, checkpoint: Path
) -> None:
    sampler = Sampler(ServeConfig(str(tmp_path)))
    asyncio.run(sampler.reconfigure({"champion": ""}))
    assert asyncio.run(sampler.describe())["model"] is None
    name = publish(Registry.below(tmp_path), checkpoint)
    asyncio.run(sampler.reconfigure({"champion": ""}))
    assert champion(sampler) == name


def test_a_detector_that_failed_to_load_is_reported_and_retried(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = threading.Event()

    def load(folder: Path, device: torch.device | str) -> Straightness:
        if not whole.is_set():
            raise OSError("stale file handle")
        return load_straightness(folder, device)

    monkeypatch.setitem(TRAINABLES, KIND, STRAIGHTNESS.with_parts(load_model=load))
    monkeypatch.setattr(
        sampler_module, "RegistryWatcher", lambda models: RegistryWatcher(models, poll_s=0.05, retry_s=0.1)
    )
    publish(Registry.below(tmp_path), checkpoint)
    name = detector(tmp_path, tmp_path / "detector")
    sampler = Sampler(ServeConfig(str(tmp_path)))
    state = asyncio.run(sampler.describe())
    assert (state["detector"], state["detector_swap"]["error"]) == (None, "stale file handle")
    whole.set()
    ends = time.monotonic() + 60.0
    while asyncio.run(sampler.describe())["detector"] is None and time.monotonic() < ends:
        time.sleep(0.05)
    state = asyncio.run(sampler.describe())
    assert (state["detector"]["id"], state["detector_swap"]["error"]) == (name, "")
