"""Settings of every test: the project's `platform`, checked shapes, one thread."""

import os
import sys

# pytest itself has imported the standard library's `platform` when it was started bare; ours is imported from here on.
sys.modules.pop("platform", None)

os.environ["RAY_AUTH_MODE"] = "token"  # a local ray.init() turns it on by itself, and later clients would fail
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from tests import shapes

shapes.install("trainables")  # before anything of it is imported

import pytest
import torch

from tests import kept

kept.install()
torch.set_num_threads(1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check the shapes of every function anew."""
    shapes.begin_test()
