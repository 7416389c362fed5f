"""A local instance of Ray among others: its processes connect to their own."""

import os

import joblib  # type: ignore[import-untyped]
import pytest
import ray

from platform.core.ray_instance import ray_instance
from trainables.training.scaling import ScalingConfig

pytestmark = pytest.mark.ray


def test_the_processes_of_a_local_instance_know_its_address() -> None:
    """Ray Train finds its own instance by this variable, else it takes the latest on the machine."""
    before = os.environ.get("RAY_ADDRESS")
    with ray_instance("local", ScalingConfig()) as cpus:
        assert cpus == joblib.cpu_count()
        known = ray.get(ray.remote(lambda: os.environ.get("RAY_ADDRESS")).remote())
        assert known == ray.get_runtime_context().gcs_address
    assert os.environ.get("RAY_ADDRESS") == before
    assert not ray.is_initialized()
