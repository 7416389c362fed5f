"""Every configuration that a command takes: each key has a description, each number a bound that is checked."""

import math
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import pytest

from docs.generate.reference import commands
from trainables.core.bounds import WHOLE, Bound, bounds_of
from trainables.core.cli import parse
from trainables.core.command import Command
from trainables.core.config import ConfigError, build, kind_of
from trainables.core.fields import defaults, groups_of
from trainables.core.help import sections

COMMANDS = commands()
RECORDS: dict[str, dict[str, Any]] = {"sources": {"reader": "cursory"}}  # an entry of each list of records
VALUES: tuple[Any, ...] = (-2, 0, 1, 70000, -2.0, 0.0, 1.0, 20.0, math.inf, math.nan, "", "no such thing")


def classes(schema: Any) -> Iterator[Any]:
    """A configuration and all inside it."""
    yield schema
    for hint in get_type_hints(schema).values():
        if is_dataclass(hint):
            yield from classes(hint)


def schemas() -> set[Any]:
    """Every configuration that a command takes."""
    named = [schema for command in COMMANDS for schema in command.schemas.values()]
    outer: list[Any] = [cls for schema in named for cls in (schema if isinstance(schema, tuple) else (schema,))]
    return {cls for schema in outer for cls in classes(schema)}


def name_of(cls: Any) -> str:
    """Module and name of a configuration."""
    return f"{cls.__module__}.{cls.__qualname__}"


def broken(cls: Any, name: str, bound: Bound) -> Iterator[Any]:
    """Plain values of a field that its type takes and its bound does not."""
    kind = kind_of(get_type_hints(cls)[name])
    if isinstance(bound, WHOLE):
        if name in RECORDS:
            yield (RECORDS[name],) * 2
            return
        entries = tuple(defaults(cls)[name] or (["a"] if "str" in kind else []))
        yield from (value for value in ((), entries[:1] * 2) if not bound.holds(value))
        return
    for value in VALUES:
        if type(value).__name__ in kind and not bound.holds(value):
            yield (value,) * 2 if "list" in kind else value


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.module)
def test_every_key_of_a_command_has_a_meaning_and_every_number_a_bound(command: Command) -> None:
    keys = [
        key
        for name, schema in command.schemas.items()
        for cls in (schema if isinstance(schema, tuple) else (schema,))
        for group in groups_of(cls, name)
        for key in group.keys
    ]
    assert [key.name for key in keys if not key.meaning] == []
    numbers = [key for key in keys if {"int", "float"} & set(key.kind.split())]
    assert [key.name for key in numbers if not key.bound] == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.module)
def test_the_groups_of_a_command_hold_every_key_of_its_configuration(command: Command) -> None:
    request = parse(command, [])
    listed = {key.name for group in sections(command, request) for key in group.keys}
    assert leaves(request.config) - listed == set()


@pytest.mark.parametrize("cls", sorted(schemas(), key=name_of), ids=name_of)
def test_a_configuration_checks_its_bounds(cls: Any) -> None:
    given = {"ckpt": "folder"} if "ckpt" in bounds_of(cls) else {}
    for name, bounds in bounds_of(cls).items():
        for bound in bounds:
            values = list(broken(cls, name, bound))
            assert values or str(bound) == "any", f"{name}: no value that breaks `{bound}`; add one to VALUES"
            for value in values:
                with pytest.raises(ConfigError) as exc_info:
                    build(cls, {**given, name: value})
                assert str(exc_info.value).startswith(f"expected {bound.law(name)}, but got ")


def leaves(node: dict[str, Any], at: str = "") -> set[str]:
    """Every dotted key that has a value of its own."""
    below = (
        leaves(value, f"{at}{name}.") if isinstance(value, dict) else {f"{at}{name}"} for name, value in node.items()
    )
    return set().union(*below)
