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
from platform.core.data_store import key_columns, megabytes, store_error
from platform.core.store_config import RUNS, ForgetConfig
from trainables.core.config import require
from trainables.core.formatting import counted
from trainables.data.readers.left_out import suggestion
from trainables.data.splits.inventory import StoredSet, delete, delete_index, holding, is_being_prepared, stored_sets
from trainables.data.splits.store import store_folder

IN_USE = 1  # exit code: another process prepares a set


def forget(config: ForgetConfig, plan_only: bool) -> int:
    """Delete the prepared data of a user and print what remains to be done; returns the exit code.

    Args:
        plan_only: Print what would be deleted, and delete nothing.

    Raises:
        ConfigError: the folder of models is none or cannot be read, or a set cannot be deleted.
    """
    console, sets = Console(), stored_sets()
    models = _models_of(config)
    found = holding(config.user, sets)
    held = _deleted(console, config.user, found, plan_only)
    if not plan_only:
        held |= _is_index_left(console)
    _print_models(console, config, models)
    known = {name for stored in sets for name in stored.users or ()}
    if known and config.user not in known and not models.affected:
        line = f"{config.user} is none of the {len(known)} users of the prepared data"
        print_line(console, f"{line}; {suggestion(config.user, known)}")
    else:
        _print_remedy(console, config.user)
    return IN_USE if held else 0


def _models_of(config: ForgetConfig) -> AffectedModels:
    """Return the models of a user; none where the default folder is not there yet, which the first run makes."""
    runs = Path(config.runs).expanduser()
    if config.runs == RUNS and not runs.exists():
        return AffectedModels((), ())
    got = f"runs={config.runs}, which is no folder"
    require(runs.is_dir(), "`runs` to be the folder of runs and registries", got, "correct it")
    return affected_models(runs, config.user)


def _is_index_left(console: Console) -> bool:
    """Delete the index of the files that were read, whose paths may name users; returns whether it is in use."""
    try:
        left = not delete_index()
    except OSError as error:
        raise store_error(error) from None
    if left:
        print_line(console, "the index of the files that were read is in use: give the same command again")
    return left


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
    if not runs.is_dir():
        line = f"the folder {runs} does not exist: no models were examined"
        print_line(console, f"{line}; name the folder of your models with runs=FOLDER")
    elif not models.affected:
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
