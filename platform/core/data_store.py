"""List the sets of prepared data, compare them with their hashes, and delete those of other versions."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from platform.core.console import columns, print_line, print_table
from platform.core.output_files import writable
from platform.core.store_config import StoreConfig
from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, violation
from trainables.core.formatting import counted
from trainables.data.splits.inventory import StoredSet, delete, is_being_prepared, stored_sets
from trainables.data.splits.store import ENVIRONMENT, store_folder

DAMAGED = 1  # exit code


def list_store(config: StoreConfig, plan_only: bool) -> int:
    """Print the prepared sets, damaged ones by name, and delete those of other versions; returns the exit code.

    Args:
        plan_only: Print what would be deleted, and delete nothing.

    Raises:
        ConfigError: a set cannot be deleted, or the list not be written.
    """
    console, sets = Console(), stored_sets()
    table = columns(*key_columns(), ">movements", ">users", ">MB", "prepared", "version")
    for stored in sets:
        table.add_row(*_cells(stored))
    if sets:
        print_table(console, table)
    total = megabytes(sum(stored.bytes for stored in sets))
    print_line(console, f"{store_folder()}: {counted(len(sets), 'set')}, {total} MB")
    damage = {stored.key: list(stored.damage()) for stored in sets if config.verify and not _in_use(stored)}
    if config.json:
        _write(Path(config.json), sets, damage if config.verify else None)
    for key, lines in damage.items():
        for line in lines:
            print_line(console, f"damaged: {key}: {line}")
    damaged = [key for key, lines in damage.items() if lines]
    if config.verify:
        print_line(console, _verdict(damaged, len(damage)))
    if config.prune:
        _prune(console, [stored for stored in sets if not stored.is_of_this_version], plan_only)
    return DAMAGED if damaged else 0


def key_columns() -> tuple[str, str]:
    """Return the titles of the columns that name a set."""
    return "key", "~data"


def megabytes(size: float) -> str:
    """Return bytes as text in MB."""
    return f"{size / 1e6:,.1f}"


def store_error(error: OSError) -> ConfigError:
    """Return the error of a store in which nothing can be deleted."""
    law = f"the store of prepared data {store_folder()} to be writable"
    return violation(law, error.strerror or type(error).__name__, f"correct its rights; {ENVIRONMENT} names the folder")


def _verdict(damaged: Sequence[str], compared: int) -> str:
    if not damaged:
        return f"verified: the arrays of {counted(compared, 'set')} equal their hashes"
    found = f"damaged: {len(damaged)} of {counted(compared, 'set')}"
    return f"verified: {found}; delete the folders, such sets are prepared again"


def _prune(console: Console, outdated: Sequence[StoredSet], plan_only: bool) -> None:
    """Delete sets, and print how many and what is freed."""
    freed = done = 0
    try:
        for stored in outdated:
            size = stored.bytes
            gone = not is_being_prepared(stored.key) if plan_only else delete(stored)
            freed, done = freed + size * gone, done + gone
    except OSError as error:
        raise store_error(error) from None
    what = "would be deleted" if plan_only else "deleted"
    print_line(console, f"{what}: {counted(done, 'set')} of other versions, {megabytes(freed)} MB")


def _in_use(stored: StoredSet) -> bool:
    """Whether it is incomplete because another process prepares it."""
    return stored.is_unfinished and is_being_prepared(stored.key)


def _cells(stored: StoredSet) -> tuple[str, ...]:
    about = _about(stored)
    counts = ("-" if about[name] is None else f"{about[name]:,}" for name in ("movements", "users"))
    paths = ", ".join(Path(path).name for path in about["paths"])
    data = f"{stored.label}: {paths}" if paths else stored.label or "-"
    return (stored.key, data, *counts, megabytes(stored.bytes), about["prepared"], about["version"])


def _about(stored: StoredSet) -> dict[str, Any]:
    """Return a set as plain values; of its users the number."""
    version = "unfinished" if stored.is_unfinished else "this" if stored.is_of_this_version else "another"
    return {
        "key": stored.key,
        "label": stored.label,
        "paths": list(stored.manifest.get("paths", ())),
        "parent": stored.parent,
        "movements": stored.movements,
        "users": None if stored.users is None else len(stored.users),
        "bytes": stored.bytes,
        "prepared": datetime.fromtimestamp(stored.prepared_s, UTC).isoformat(timespec="seconds"),
        "version": version,
    }


def _write(file: Path, sets: Sequence[StoredSet], damage: Mapping[str, Sequence[str]] | None) -> None:
    """Write the list as JSON.

    Args:
        damage: Key -> what is wrong; None where nothing was compared.
    """
    rows = [{**_about(one), "damage": None if damage is None else damage.get(one.key)} for one in sets]
    content = {"folder": str(store_folder()), "bytes": sum(one.bytes for one in sets), "sets": rows}
    with writable("json", file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(content, indent=1, sort_keys=True) + "\n")
