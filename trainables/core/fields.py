"""Every key of a configuration with its type, default, bound and meaning: what `--help` and the reference print.

The meaning is the comment of the field: behind it on its line, or alone on the lines above where it takes more room.
The bound is the metadata of its type (`trainables.core.bounds`). A group has the first paragraph of its docstring.
"""

import ast
import dataclasses
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

from trainables.core.bounds import bounds_of
from trainables.core.config import kind_of, plain


@dataclass(frozen=True)
class Key:
    """One key of a configuration.

    Attributes:
        name: The dotted key, as an override names it.
        kind: Its type, as a reader names it: "int", "list of str", "float or null".
        default: The plain value that it has when nothing is given.
        bound: Its law behind the type; empty where there is none.
        meaning: Its comment.
    """

    name: str
    kind: str
    default: Any
    bound: str
    meaning: str


@dataclass(frozen=True)
class Group:
    """The keys of one configuration, and its docstring; `name` is empty for the outermost."""

    name: str
    about: str
    keys: tuple[Key, ...]


def groups_of(cls: type, at: str = "", values: Mapping[str, Any] | None = None) -> Iterator[Group]:
    """A configuration's own keys, then those of the configurations inside it, in the order of their declaration.

    Args:
        cls: A configuration dataclass.
        at: Where it stands in the whole configuration.
        values: What to give as defaults; None for those of the class.
    """
    hints = get_type_hints(cls)
    given = defaults(cls) if values is None else values
    prefix = f"{at}." if at else ""
    names = [field.name for field in dataclasses.fields(cls)]
    inside = [name for name in names if dataclasses.is_dataclass(hints[name])]
    bounds, meanings = bounds_of(cls), comments(cls)
    keys = (
        Key(
            f"{prefix}{name}",
            kind_of(hints[name]),
            given[name],
            ", ".join(map(str, bounds.get(name, ()))),
            meanings.get(name, ""),
        )
        for name in names
        if name not in inside
    )
    yield Group(at, inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].replace("\n", " "), tuple(keys))
    for name in inside:
        yield from groups_of(hints[name], f"{prefix}{name}", given[name])


def defaults(cls: type) -> dict[str, Any]:
    """The nested plain mapping of a configuration's defaults, without holding them against its laws.

    A key that the user of a command must give (`ckpt`) has a default which its law refuses.
    """
    values = {field.name: _default(field) for field in dataclasses.fields(cls)}
    return {
        name: plain(value) if dataclasses.is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


@cache
def comments(cls: type) -> dict[str, str]:
    """Field -> the comment behind it, or the one alone on the lines above it."""
    lines, classes = _parsed(sys.modules[cls.__module__])
    found = {}
    for node in classes[cls.__qualname__].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            comment = _behind(lines, node) or _above(lines, node)
            if comment:
                found[node.target.id] = comment
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@cache
def _parsed(module: types.ModuleType) -> tuple[list[bytes], dict[str, ast.ClassDef]]:
    """The lines of a module's source, as bytes since `ast` counts in them, and its classes by name."""
    source = inspect.getsource(module)
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    return [line.encode() for line in source.splitlines()], classes


def _behind(lines: list[bytes], node: ast.AnnAssign) -> str:
    assert node.end_lineno is not None
    rest = lines[node.end_lineno - 1][node.end_col_offset :].decode().strip()
    return rest.removeprefix("#").strip() if rest.startswith("#") else ""


def _above(lines: list[bytes], node: ast.AnnAssign) -> str:
    found: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        text = line.decode().strip()
        if not text.startswith("#"):
            break
        found.insert(0, text.removeprefix("#").strip())
    return " ".join(found)
