"""The version of the project, which every study, checkpoint, manifest and decision names, and what older ones are."""

from collections.abc import Mapping
from typing import Any

VERSION = "0.3.0"  # as in pyproject.toml
UNNAMED = "0.1.0"  # versions before 0.2.0 did not write their number


def version_of(record: Mapping[str, Any]) -> str:
    """Return the version that wrote a record, under its key `version`."""
    return str(record.get("version", UNNAMED))


def minor(version: str) -> tuple[int, ...]:
    """Return major and minor number of a version.

    >>> minor("0.2.0") < minor("0.10.1")
    True
    """
    return tuple(int(number) for number in version.split(".")[:2])
