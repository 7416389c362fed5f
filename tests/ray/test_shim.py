"""`platform` in a worker of Ray, which imports the standard library's module before it hears of ours."""

import sysconfig
from pathlib import Path

import pytest
import ray

import platform

pytestmark = pytest.mark.ray
FILES = (str(platform.__file__), str(Path(sysconfig.get_path("stdlib")) / "platform.py"))


def test_a_ray_worker_needs_nothing_of_ours_to_import_trainables() -> None:
    """A plain worker holds the standard module before the first task arrives; what it runs must not mind."""

    def work() -> tuple[str, str, str]:
        import platform
        import trainables.core.config

        return str(platform.__file__), platform.system(), trainables.core.config.__name__

    ray.init(address="local", include_dashboard=False, num_cpus=1, log_to_driver=False)
    try:
        file, system, imported = ray.get(ray.remote(work).remote(), timeout=120)
    finally:
        ray.shutdown()
    assert file in FILES
    assert (system, imported) == (platform.system(), "trainables.core.config")
