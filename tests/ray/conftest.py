"""One local Ray instance for the tests of this folder: two CPUs, the dashboard on for worker groups."""

import logging
from collections.abc import Iterator

import pytest
import ray

from platform.core.ray_instance import environment, own_address
from tests.ray.jobs import CPUS
from trainables.training.scaling import TRIAL_DRIVER


@pytest.fixture(scope="module")
def ray_with_dashboard() -> Iterator[None]:
    with environment(own_address()):  # other instances may run beside the tests
        ray.init(
            address="local",
            num_cpus=CPUS,
            resources={TRIAL_DRIVER: CPUS},
            include_dashboard=True,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    yield
    ray.shutdown()
