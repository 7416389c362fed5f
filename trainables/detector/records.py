"""Frozen records to plain JSON and back: whatever a judgement is made of, by the types of its fields."""

import dataclasses
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from trainables.core.config import ConfigError

R = TypeVar("R")


def from_plain(cls: type[R], content: Mapping[str, Any]) -> R:
    """The record that `trainables.core.config.plain` made this mapping of.

    Raises:
        ConfigError: it is not one: a key is missing or unknown, or a value is of another type.
    """
    try:
        record: R = _value(cls, content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"not a {cls.__name__} ({type(error).__name__}: {error})") from None
    return record


def _value(kind: Any, plain: Any) -> Any:
    """A value of a declared type: a record, a tuple or a mapping of them, an optional one, or plain."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, plain)
    if origin is tuple:
        return tuple(_value(arguments[0], one) for one in plain)
    if origin is UnionType:
        return None if plain is None else _value(arguments[0], plain)
    if origin is not None and issubclass(origin, Mapping):
        return {name: _value(arguments[1], one) for name, one in plain.items()}
    if not isinstance(plain, (int, float) if kind is float else kind):
        raise TypeError(f"{kind.__name__} wanted, got {plain!r}")
    return plain


def _record(cls: type, plain: Mapping[str, Any]) -> Any:
    types = {field.name: get_type_hints(cls)[field.name] for field in dataclasses.fields(cls)}
    if set(plain) != set(types):
        raise KeyError(f"fields of {cls.__name__}: {sorted(set(plain) ^ set(types))} missing or unknown")
    return cls(**{name: _value(kind, plain[name]) for name, kind in types.items()})
