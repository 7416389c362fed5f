"""The users of the default recordings that generators are compared with."""

import pytest

from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits


@pytest.fixture(scope="module")
def real() -> Canonical:
    return load_splits(DataConfig())["train"]
