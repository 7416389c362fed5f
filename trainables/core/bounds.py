"""Bounds of configuration fields, each declared once, as metadata of the field's type.

    epochs: PositiveInt = 9
    fpr: Annotated[float, Range(gt=0, lt=1)] = 0.01
    sampler: Annotated[str, Choice(SAMPLERS)] = "tpe"

A configuration calls `check(self)` first in its `__post_init__`, then states the laws between its fields. `--help` and
the reference print the same bounds (`trainables.core.fields`). A number without bounds is declared so: `AnyInt`.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Protocol, cast, get_args, get_origin, get_type_hints, runtime_checkable

from trainables.core.config import violation

FINITE = "finite"
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@runtime_checkable
class Bound(Protocol):
    """A law of one field; of each of its entries where the field is a tuple."""

    def holds(self, value: Any) -> bool:
        """Whether a value keeps the law."""

    def law(self, name: str) -> str:
        """The law of a field of this name, as it reads after "expected"."""

    def __str__(self) -> str:
        """The law as it reads behind the type: ">= 1", "gp | tpe"."""


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, each of which is left out (`gt`, `lt`), included (`ge`, `le`) or absent; never NaN.

    >>> Range(gt=0, le=1).law("share"), str(Range(gt=0, le=1))
    ('`0 < share <= 1`', '> 0 and <= 1')
    >>> Range(ge=1).law("epochs"), str(Range())
    ('`epochs >= 1`', 'any')
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a number lies between the ends."""
        above = (self.gt is None or value > self.gt) and (self.ge is None or value >= self.ge)
        below = (self.lt is None or value < self.lt) and (self.le is None or value <= self.le)
        return above and below and not math.isnan(value)

    def law(self, name: str) -> str:
        """`low < name < high` where there are two ends, else the name and the one that there is."""
        ends = self._ends()
        if str(self) == FINITE:
            return f"`{name}` to be finite"
        if len(ends) == 2:
            (below, low), (sign, high) = ends
            return f"`{low} {below.replace('>', '<')} {name} {sign} {high}`"
        return f"`{' '.join((name, *ends[0]))}`" if ends else f"any `{name}`"

    def __str__(self) -> str:
        if (self.gt, self.lt) == (-math.inf, math.inf):
            return FINITE
        return " and ".join(f"{sign} {end}" for sign, end in self._ends() if end != "inf") or "any"

    def _ends(self) -> list[tuple[str, str]]:
        given = ((SIGNS[name], getattr(self, name)) for name in SIGNS)
        return [(sign, f"{end:g}" if isinstance(end, float) else str(end)) for sign, end in given if end is not None]


@dataclass(frozen=True, eq=False)
class Choice:
    """One of some names; with `or_empty` the empty text as well, which stands for a default.

    Attributes:
        remedies: Refused value -> what to do instead.
    """

    names: Collection[str]
    or_empty: bool = False
    remedies: Mapping[str, str] = field(default_factory=dict)

    def holds(self, value: str) -> bool:
        """Whether a text is one of the names."""
        return value in self.names or (self.or_empty and value == "")

    def law(self, name: str) -> str:
        """The field and the set of its names."""
        return f"`{name}` in {{{', '.join(sorted(set(self.names)))}}}"

    def __str__(self) -> str:
        return " | ".join(sorted(set(self.names)))


@dataclass(frozen=True)
class Text:
    """Text that a regular expression matches whole, with a description of it: "a folder", "an id such as 0003-9f8"."""

    what: str
    pattern: str = r".+"
    remedy: str = ""

    def holds(self, value: str) -> bool:
        """Whether the pattern matches the whole text."""
        return re.fullmatch(self.pattern, value, re.DOTALL) is not None

    def law(self, name: str) -> str:
        """The field and what it is to be."""
        return f"`{name}` to be {self.what}"

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class Length:
    """Number of entries of a tuple; every other bound applies to the entries."""

    least: int = 1
    most: int | None = None

    def holds(self, value: tuple[Any, ...]) -> bool:
        """Whether a tuple has so many entries."""
        return self.least <= len(value) <= (len(value) if self.most is None else self.most)

    def law(self, name: str) -> str:
        """The field and how many entries it is to have."""
        return f"`{name}` to have {self}"

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.least} entries"
        return f"{self.least} or more entries" if self.most is None else f"{self.least} to {self.most} entries"


@dataclass(frozen=True)
class Distinct:
    """The entries of a tuple differ from each other."""

    def holds(self, value: tuple[Any, ...]) -> bool:
        """Whether no entry is there twice."""
        return len(set(value)) == len(value)

    def law(self, name: str) -> str:
        """The field, with each entry once."""
        return f"`{name}` to name each entry once"

    def __str__(self) -> str:
        return "each once"


WHOLE = (Length, Distinct)
AnyInt = Annotated[int, Range()]
PositiveInt = Annotated[int, Range(ge=1)]
NonNegativeInt = Annotated[int, Range(ge=0)]
PositiveFloat = Annotated[float, Range(gt=0, lt=math.inf)]
NonNegativeFloat = Annotated[float, Range(ge=0, lt=math.inf)]
FiniteFloat = Annotated[float, Range(gt=-math.inf, lt=math.inf)]
Share = Annotated[float, Range(ge=0, le=1)]
Fraction = Annotated[float, Range(ge=0, lt=1)]
Folder = Annotated[str, Text("a folder", r"(?!\w+://).+")]
Checkpoint = Annotated[str, Text("a checkpoint folder", remedy="add ckpt=FOLDER")]
Betas = Annotated[tuple[Fraction, ...], Length(2, 2)]


def check(config: Any) -> None:
    """Hold every field of a configuration against its bounds; a field that is None has no value to hold.

    Raises:
        ConfigError: the first value that breaks its bound.
    """
    for name, bounds in bounds_of(cast(Hashable, type(config))).items():
        value = getattr(config, name)
        entries = value if isinstance(value, tuple) else (value,)
        for bound in bounds if value is not None else ():
            for part in (value,) if isinstance(bound, WHOLE) else entries:
                if not bound.holds(part):
                    raise violation(bound.law(name), _shown(name, part), _remedy(bound, part))


@cache
def bounds_of(cls: Hashable) -> dict[str, tuple[Bound, ...]]:
    """Field -> the bounds that its annotation carries, of the fields that carry one."""
    hints = get_type_hints(cls, include_extras=True)
    found = {each.name: tuple(_bounds(hints[each.name])) for each in dataclasses.fields(cast(Any, cls))}
    return {name: bounds for name, bounds in found.items() if bounds}


def _remedy(bound: Bound, value: Any) -> str:
    if isinstance(bound, Choice):
        return bound.remedies.get(value, "")
    return bound.remedy if isinstance(bound, Text) else ""


def _shown(name: str, value: Any) -> str:
    """A value as the override that would give it."""
    if value == "":
        return "an empty text"
    return f"{name}=[{', '.join(map(str, value))}]" if isinstance(value, tuple) else f"{name}={value}"


def _bounds(hint: Any) -> Iterator[Bound]:
    """The bounds inside an annotation: those of `X | None` and of a tuple's entries are found in their arguments."""
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        yield from _bounds(inner)
        yield from (extra for extra in extras if isinstance(extra, Bound))
    else:
        for argument in get_args(hint):
            yield from _bounds(argument)
