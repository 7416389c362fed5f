"""Signatures are checked: types, sizes of a letter over parameters and result, and nothing between two calls."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import torch

from tests import shapes

CODE = """
from collections.abc import Iterator
from dataclasses import dataclass
from jaxtyping import Float
from torch import Tensor

def added(x: Float[Tensor, "B T"], y: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    return x + y

def halved(x: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    return x[: len(x) // 2]

def twice(x: Float[Tensor, "B T"]) -> tuple[Float[Tensor, "B T"], Float[Tensor, "T B"]]:
    return added(x, x), added(x.T, x.T)

def doubled(x: float) -> float:
    return 2 * x if x else "nothing"

def rows(x: Float[Tensor, "B T"]) -> Iterator[Float[Tensor, "T"]]:
    yield from x

def first(x: Float[Tensor, "B T"]) -> Float[Tensor, "B"]:
    return next(rows(x.T))

@dataclass
class Pair:
    one: Float[Tensor, "N"]
    other: Float[Tensor, "N"]
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """A module of a package that the tests check."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "shaped.py").write_text(CODE)
    import trainables

    trainables.__path__.append(str(folder))
    try:
        import trainables.shaped as found  # type: ignore[import-not-found]

        yield found
    finally:
        trainables.__path__.remove(str(folder))
        sys.modules.pop("trainables.shaped")
        del trainables.shaped


def test_arguments_of_the_declared_shape_pass(module: ModuleType) -> None:
    assert module.added(torch.ones(2, 3), torch.ones(2, 3)).shape == (2, 3)
    assert [found.shape for found in module.twice(torch.ones(2, 3))] == [(2, 3), (3, 2)]
    assert module.first(torch.ones(2, 3)).shape == (2,)  # a generator has letters of its own
    assert module.doubled(2) == 4
    assert module.Pair(torch.ones(2), torch.ones(2)).one.shape == (2,)


def test_arguments_of_another_shape_are_refused(module: ModuleType) -> None:
    calls: list[Callable[[], object]] = [
        lambda: module.added(torch.ones(2, 3), torch.ones(2, 4)),
        lambda: module.added(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64)),
        lambda: module.halved(torch.ones(4, 3)),
        lambda: module.doubled("two"),
        lambda: module.doubled(0.0),
        lambda: module.Pair(torch.ones(2), torch.ones(3)),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"(?i)violat|type-check error"):
            call()


def test_the_first_calls_of_a_test_are_checked_and_those_of_the_next_test_again(module: ModuleType) -> None:
    shapes.begin_test()
    for _ in range(shapes.CALLS):
        module.added(torch.ones(2, 3), torch.ones(2, 3))
    assert module.added(torch.ones(2, 3), torch.ones(1, 3)).shape == (2, 3)
    shapes.begin_test()
    with pytest.raises(TypeError, match=r"(?i)violat|type-check error"):
        module.added(torch.ones(2, 3), torch.ones(1, 3))


def test_code_of_the_project_is_checked() -> None:
    from trainables.nn.modulate import modulate

    assert "tests.shapes" in modulate.__code__.co_filename.replace("/", ".")
