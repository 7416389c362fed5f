"""What a trial needs is held against what Ray has, before any trial starts; with a Ray that only says what it has."""

from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import pytest
import ray

from platform.core.ray_instance import available_cpus, ray_instance
from trainables.core.config import ConfigError
from trainables.training.scaling import ScalingConfig


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A Ray of four CPUs and one GPU; the list grows when it is shut down."""
    calls: list[str] = []
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0, "GPU": 1.0})
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return calls


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"num_workers": 5}, r"`CPUs of a trial <= CPUs of Ray`.*5 > 4; lower scaling.cpus_per_worker"),
        ({"gpus_per_worker": 2}, r"`GPUs of a trial <= GPUs of Ray`.*2 > 1; lower scaling.gpus_per_worker"),
        ({"num_workers": 3, "gpus_per_worker": 0.5}, r"`GPUs of a trial <= GPUs of Ray`.*1.5 > 1"),
    ],
)
def test_a_trial_that_can_never_start_is_refused_and_ray_ends(
    ended: list[str], scaling: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message), ray_instance("local", ScalingConfig(**scaling)):
        pytest.fail("no sweep may begin")
    assert ended == ["shutdown"]


@pytest.mark.parametrize("scaling", [{}, {"num_workers": 4}, {"num_workers": 2, "gpus_per_worker": 0.5}])
def test_a_trial_that_fits_is_given_the_cpus(ended: list[str], scaling: dict[str, Any]) -> None:
    with ray_instance("local", ScalingConfig(**scaling)) as cpus:
        assert (cpus, ended) == (4, [])
    assert ended == ["shutdown"]


def test_the_cpus_of_a_container_are_those_of_its_quota(ended: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.sched_getaffinity` counts all of the machine there."""
    monkeypatch.setattr(joblib, "cpu_count", lambda: 1)
    assert available_cpus("local", ScalingConfig()) == 1
