"""Strict configurations: a frozen dataclass per component, built from plain mappings, wrong input named by its key.

The contract: `build(cls, mapping)` either returns an instance whose every field has the declared type and whose
`__post_init__` accepted it, or raises `ConfigError` with one line: the key, the value, the law and the remedy.
"""

import dataclasses
import difflib
import hashlib
import json
import types
from collections.abc import Collection, Hashable, Iterable, Mapping
from functools import cache, reduce
from itertools import chain, zip_longest
from operator import getitem
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from trainables.core.renamed import refusal

INPUT_PATHS = (
    "path",
    "gan_checkpoint",
    "diffusion_checkpoint",
    "physical_checkpoint",
    "critic_checkpoint",
    "agent_checkpoint",
    "teacher",
    "checkpoint",
    "init_from",
    "served_folder",
)
"""Keys of a trainable that name a file or a folder to read."""
C = TypeVar("C")


class ConfigError(ValueError):
    """A value that breaks a stated law; the message is one line that names key, value, law and remedy."""


def require(holds: bool, law: str, got: str, remedy: str = "") -> None:
    """Raise `ConfigError` unless `holds`, with the law first, then the values, then the remedy.

    >>> require(3 <= 1, "`low <= high`", "low=3, high=1")
    Traceback (most recent call last):
    trainables.core.config.ConfigError: expected `low <= high`, but got low=3, high=1
    """
    if not holds:
        raise violation(law, got, remedy)


def violation(law: str, got: str, remedy: str = "") -> ConfigError:
    """Return the error of `require`, for callers that would rather not word what is mostly not broken."""
    return ConfigError(f"expected {law}, but got {got}" + (f"; {remedy}" if remedy else ""))


def require_member(key: str, value: object, known: Collection[str]) -> None:
    """Raise `ConfigError` unless `value` is one of the choices `known`, the keys of a dict or their names alone."""
    require(value in known, f"`{key}` in {{{', '.join(sorted(known))}}}", f"{key}={value}")


def build(cls: type[C], mapping: Mapping[str, Any], at: str = "") -> C:
    """Build the dataclass `cls` from a nested mapping; missing keys take the declared defaults.

    Args:
        cls: A dataclass whose fields are primitives, dataclasses, or tuples of either.
        mapping: Nested plain values.
        at: Where the mapping stands in the whole configuration, for messages ("trainable").

    Raises:
        ConfigError: an unknown key, a value of another type, or a law that `__post_init__` states.
    """
    built: C = _instance(cls, _typed(cls, mapping, at), at)
    return built


def require_laws(cls: type[Any], mapping: Mapping[str, Any], points: Iterable[Mapping[str, Any]], at: str = "") -> None:
    """Require that `build` accepts the mapping, and the mapping with the values of each point in place.

    The type of a value depends on no other value and is checked once, together with those of other keys, which is most
    of a `build`; the laws that `__post_init__` states hold between values and are checked at every point.

    Args:
        points: Values by dotted key.

    Raises:
        ConfigError: as `build`.
    """
    plain_values, given = _typed(cls, mapping, at), list(points)
    _instance(cls, plain_values, at)
    values: dict[str, dict[str, Any]] = {}  # of each key, by their text
    for key, value in chain.from_iterable(point.items() for point in given):
        values.setdefault(key, {})[repr(value)] = value
    typed: dict[tuple[str, str], Any] = {}  # key and text -> the value of the declared type
    for several in zip_longest(*([(key, text) for text in texts] for key, texts in values.items())):
        pairs = [pair for pair in several if pair is not None]
        checked = _typed(cls, with_values(mapping, {key: values[key][text] for key, text in pairs}), at)
        typed |= {(key, text): reduce(getitem, key.split("."), checked) for key, text in pairs}
    for point in given:
        corner = {key: typed[key, repr(value)] for key, value in point.items()}
        _instance(cls, with_values(plain_values, corner), at)


def _typed(cls: type[Any], mapping: Mapping[str, Any], at: str) -> dict[str, Any]:
    """Return the nested plain values of every key of a dataclass, each of its declared type."""
    try:
        merged = OmegaConf.merge(_schema(cast(Hashable, cls)), OmegaConf.create(dict(mapping)))
    except (ConfigKeyError, ConfigAttributeError) as error:
        raise ConfigError(_unknown_in_entry(cls, mapping, at) or _unknown_key(cls, _full_key(error), at)) from None
    except OmegaConfBaseException as error:
        raise ConfigError(_wrong_type(cls, mapping, at) or " ".join(str(error).split())) from None
    return cast(dict[str, Any], OmegaConf.to_container(merged))


def plain(config: Any) -> dict[str, Any]:
    """The nested plain mapping of a configuration dataclass; `build` of it gives the same configuration back."""
    result: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return result


def digest(value: Any) -> str:
    """A short stable hash of any JSON-serialisable value, equal over processes and machines."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def with_values(mapping: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a nested mapping in which dotted keys are replaced: `{"optim.lr": 1e-3}`.

    >>> with_values({"optim": {"lr": 1.0, "betas": 2}}, {"optim.lr": 0.5})
    {'optim': {'lr': 0.5, 'betas': 2}}
    """
    result = dict(mapping)
    for key, value in values.items():
        head, _, rest = key.partition(".")
        result[head] = with_values(result.get(head, {}), {rest: value}) if rest else value
    return result


def with_absolute_paths(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain configuration whose input files are absolute, for processes that run in other folders.

    >>> with_absolute_paths({"data": {"source": "table", "path": "/recordings.csv"}, "served_folder": ""})
    {'data': {'source': 'table', 'path': '/recordings.csv'}, 'served_folder': ''}
    >>> with_absolute_paths({"sources": [{"reader": "table", "path": "/recordings.csv"}]})
    {'sources': [{'reader': 'table', 'path': '/recordings.csv'}]}
    """
    return {key: _absolute(key, value) for key, value in mapping.items()}


def _absolute(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return with_absolute_paths(value)
    if isinstance(value, list):
        return [_absolute(key, entry) for entry in value]
    return str(Path(value).expanduser().absolute()) if key in INPUT_PATHS and value else value


def _instance(cls: Any, values: Any, at: str) -> Any:
    """The dataclass from checked plain values: nested ones first, sequences as tuples, laws named by their place."""
    types, arguments = _hints(cls), {}
    for name, value in values.items():
        entry, key = entry_of(types[name]), _join(at, name)
        if dataclasses.is_dataclass(types[name]):
            arguments[name] = _instance(types[name], value, key)
        elif entry is not None:
            arguments[name] = tuple(_instance(entry, part, f"{key}[{i}]") for i, part in enumerate(value))
        else:
            arguments[name] = _frozen(value)
    try:
        return cls(**arguments)
    except ConfigError as error:
        raise ConfigError(f"{at}: {error}" if at else str(error)) from None


def entry_of(hint: Any) -> Any:
    """The dataclass of the entries of a tuple type, None where they are no dataclasses or it is no tuple.

    >>> entry_of(tuple[int, ...])
    """
    entry = get_args(hint)[0] if get_origin(hint) is tuple else None
    return entry if dataclasses.is_dataclass(entry) else None


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@cache
def _hints(cls: Hashable) -> dict[str, Any]:
    """The types of the fields of a dataclass."""
    return get_type_hints(cls)


@cache
def _schema(cls: Hashable) -> Any:
    """OmegaConf's view of a dataclass, made once: it is half the work of a `build`, which merges into a copy of it."""
    return _writable(OmegaConf.structured(cls))


def _writable(schema: Any) -> Any:
    """Lift the read-only flag that OmegaConf gives to the schema of a frozen dataclass and of those inside it."""
    OmegaConf.set_readonly(schema, None)
    for child in schema.values():
        if isinstance(child, DictConfig):
            _writable(child)
    return schema


def _full_key(error: OmegaConfBaseException) -> str:
    return str(error.full_key or error.key or "")


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at and key else at or key


def kind_of(hint: Any) -> str:
    """A type as a reader names it.

    >>> kind_of(float | None), kind_of(tuple[str, ...]), kind_of(bool)
    ('float or null', 'list of str', 'bool')
    """
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(kind_of, get_args(hint)))
    if get_origin(hint) is tuple:
        return f"list of {kind_of(get_args(hint)[0])}"
    if dataclasses.is_dataclass(hint):
        return f"{{{', '.join(field.name for field in dataclasses.fields(hint))}}}"
    return "null" if hint is type(None) else str(hint.__name__)


def _wrong_type(cls: Any, mapping: Mapping[str, Any], at: str) -> str:
    """The first value that the type of its field does not take, as a message; empty if there is none."""
    hints = get_type_hints(cls)
    for name, value in mapping.items():
        key, group = _join(at, name), dataclasses.is_dataclass(hints[name])
        if group and isinstance(value, Mapping):
            if wrong := _wrong_type(hints[name], value, key):
                return wrong
        elif group or not _is_taken(cls, name, value):
            kind = "group of keys" if group else kind_of(hints[name])
            article = "an" if kind.startswith("int") else "a"
            listed = get_origin(hints[name]) is tuple and isinstance(value, str | int | float)
            remedy = f"; put brackets around it, as {key}=[{value}]" if listed else ""
            got = "null" if value is None else value
            return f"expected `{key}` to be {article} {kind}, but got {key}={got}{remedy}"
    return ""


def _unknown_in_entry(cls: Any, mapping: Mapping[str, Any], at: str) -> str:
    """The first unknown key of an entry of a list, as a message; empty if there is none."""
    hints = get_type_hints(cls)
    for name, value in mapping.items():
        entry, key = entry_of(hints.get(name)), _join(at, name)
        inside = dataclasses.is_dataclass(hints.get(name)) and isinstance(value, Mapping)
        if inside and (unknown := _unknown_in_entry(hints[name], value, key)):
            return unknown
        for number, part in enumerate(value if entry is not None and isinstance(value, list | tuple) else ()):
            known = {field.name for field in dataclasses.fields(entry)}
            for wrong in sorted(set(part) - known) if isinstance(part, Mapping) else ():
                return _unknown_key(entry, wrong, f"{key}[{number}]")
    return ""


def _is_taken(cls: Any, name: str, value: Any) -> bool:
    try:
        OmegaConf.merge(_schema(cls), OmegaConf.create({name: value}))
    except OmegaConfBaseException:
        return False
    return True


def _unknown_key(cls: Any, key: str, at: str) -> str:
    *parents, name = key.split(".")
    owner = cls
    for parent in parents:
        owner = next((f.type for f in dataclasses.fields(owner) if f.name == parent), owner)
    known = [field.name for field in dataclasses.fields(owner)]
    siblings = [_join(at, ".".join([*parents, sibling])) for sibling in known]
    renamed = refusal(_join(at, key), "", siblings)
    if renamed:
        return renamed
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean `{close[0]}`?" if close else f"known keys: {', '.join(known)}"
    return f"unknown key {_join(at, key)}; {hint}"
