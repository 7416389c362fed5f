"""Checks of the shapes and types in signatures, for tests: of each function the first calls of a test.

jaxtyping's own import hook checks the parameters of every call, then parameters and result again, and binds the
arguments each time for its messages: a third of the time of a training in a test. Here beartype checks a call once,
and jaxtyping's context, in which one letter has one size, is opened only where a signature names a shape. A function
with shapes is checked in its first `CALLS` calls of each test: the layers of a network that is trained in a test are
called thousands of times alike, and checking them all is a quarter of the time of the tests.
"""

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))  # an int is a float
JAXTYPED = jaxtyping.jaxtyped
CALLS = 5  # of a function in a test that are checked

calls = Counter[Callable[..., Any]]()  # of each function in this test


def begin_test() -> None:
    """Check every function anew."""
    calls.clear()


def names_a_shape(function: Callable[..., Any]) -> bool:
    """Whether an annotation of the function holds a type of jaxtyping, however deep."""
    return any("jaxtyping." in repr(annotation) for annotation in function.__annotations__.values())


def checked(function: Any, *, typechecker: Callable[[Any], Any]) -> Any:
    """Return the function with its signature checked, or the class with that of its `__init__`."""
    if not inspect.isfunction(function) or inspect.isgeneratorfunction(function):
        return JAXTYPED(function, typechecker=typechecker)  # beartype checks a generator while it is consumed
    once = typechecker(function)
    if not names_a_shape(function):
        return once

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if calls[function] >= CALLS:
            return function(*args, **kwargs)
        calls[function] += 1
        with JAXTYPED("context"):
            return once(*args, **kwargs)

    return call


def install(packages: str) -> None:
    """Check everything that is imported from `packages` from here on."""

    def decorator(function: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
        parameters = {"typechecker": typechecker}
        return functools.partial(checked, **parameters) if function is None else checked(function, **parameters)

    jaxtyping.jaxtyped = decorator  # type: ignore[assignment]  # its overloads
    install_import_hook(packages, f"{__name__}.check")
