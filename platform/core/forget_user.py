"""Remove a user: delete their prepared data, name the models trained on them, and the key that leaves them out.

Neither recordings nor models are deleted: the recordings are files of the owner's, and a model without the user is
another model, which is trained.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from platform.core.affected_models import AffectedModels, Model, affected_models
from platform.core.console import columns, print_heading, print_line, print_table
from platform.core.data_store import counted, key_columns, megabytes, store_error
from platform.core.store_config import ForgetConfig
from trainables.data.readers.left_out import suggestion
from trainables.data.splits.inventory import StoredSet, delete, holding, is_being_prepared, stored_sets
from trainables.data.splits.store import store_folder

IN_USE = 1  # exit code: another process prepares a set


def forget(config: ForgetConfig, plan_only: bool) -> int:
    """Delete the prepared data of a user and print what remains to be done; returns the exit code.

    Args:
        plan_only: Print what would be deleted, and delete nothing.

    Raises:
        ConfigError: a set cannot be deleted.
    """
    console, sets = Console(), stored_sets()
    models = affected_models(Path(config.runs).expanduser(), config.user)
    found = holding(config.user, sets)
    held = _deleted(console, config.user, found, plan_only)
    _print_models(console, config, models)
    known = {name for stored in sets for name in stored.users or ()}
    if known and config.user not in known and not models.affected:
        line = f"{config.user} is none of the {len(known)} users of the prepared data"
        print_line(console, f"{line}; {suggestion(config.user, known)}")
    else:
        _print_remedy(console, config.user)
    return IN_USE if held else 0


def _deleted(console: Console, user: str, found: Sequence[tuple[StoredSet, str]], plan_only: bool) -> bool:
    """Delete sets, which the table names with their sizes; returns whether one is left that another process holds."""
    print_line(console, f"prepared data: {store_folder()}")
    if not found:
        print_line(console, f"no prepared set holds movements of {user}")
        return False
    table, freed, done = columns(*key_columns(), ">MB", "~reason"), 0, 0
    try:
        for stored, reason in found:
            size = stored.bytes
            gone = not is_being_prepared(stored.key) if plan_only else delete(stored)
            freed, done = freed + size * gone, done + gone
            state = reason if gone else "in use: another process prepares it"
            table.add_row(stored.key, stored.label, megabytes(size), state)
        left = bool(holding(user, stored_sets())) if not plan_only else done < len(found)
    except OSError as error:
        raise store_error(error) from None
    print_table(console, table)
    what = "would be deleted" if plan_only else "deleted"
    print_line(console, f"{what}: {counted(done, 'set')}, {megabytes(freed)} MB")
    if left:
        print_line(console, "a set is in use: give the same command again when the process that prepares it has ended")
    return left


def _print_models(console: Console, config: ForgetConfig, models: AffectedModels) -> None:
    runs = Path(config.runs).expanduser().absolute()
    if not models.affected:
        print_line(console, f"no model below {runs} is known to be trained on {config.user}")
    else:
        _print_table(console, f"Models below {runs} that were made with movements of {config.user}", models.affected)
        print_line(
            console,
            f"Each of these learnt from {config.user}, and no part of a model can be taken out again: train them again "
            "without this user, promote the new ones where an old one is served, and delete the old folders. This "
            "command deletes none of them.",
        )
    if models.unknown:
        _print_table(console, "Not known: look at the recordings that they were trained on", models.unknown)


def _print_table(console: Console, title: str, models: Sequence[Model]) -> None:
    print_heading(console, title)
    table = columns("~folder", "kind", "~reason")
    for model in models:
        table.add_row(str(model.folder), model.kind, model.reason)
    print_table(console, table)


def _print_remedy(console: Console, user: str) -> None:
    """Print the key that leaves the user out, as a shell takes it, with what stays as it is."""
    print_line(
        console, "The recordings are your files and stay as they are: remove the user from them, or add to every"
    )
    print_line(console, "training from now on (data.leave_out_users where the command has no trainable):")
    print_line(console, f"  {shlex.quote(f'trainable.data.leave_out_users=[{json.dumps(user, ensure_ascii=False)}]')}")
