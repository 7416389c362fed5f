"""Checks of the storage: results folder, database of the study, recordings."""

import os
from pathlib import Path

from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from platform.preflight.context import FAIL, OK, WARNING, Finding, PreflightContext
from platform.study.storage import redact_password
from trainables.data.splits.data_splits import LONGER_REMEDY
from trainables.data.splits.loading import load_splits


def check_storage(context: PreflightContext) -> Finding:
    """Check that the results folder is writable, and is the same folder on every node."""
    place = context.config.storage_path
    if context.driver.storage:
        return Finding(FAIL, f"storage_path={place}: {context.driver.storage}", "choose a writable folder")
    failed = [f"{node.host}: {node.storage}" for node in context.cluster.nodes if node.storage]
    if failed:
        return Finding(
            FAIL, "; ".join(failed), "choose a storage_path that all nodes mount at the same path (NFS, say)"
        )
    return Finding(OK, f"{place} written and read by this process and {len(context.cluster.nodes)} node(s)")


def check_database(context: PreflightContext) -> Finding:
    """Check that Optuna's database is reachable; nothing is created in it."""
    text = context.config.storage
    if not text:
        return Finding(OK, "a journal file beside the results")
    remedy = "start the database, check user, password and host, and install its driver (psycopg, say)"
    try:
        url = make_url(text)
        if url.get_backend_name() == "sqlite":
            return _sqlite(Path(url.database or ""))
        create_engine(url).connect().close()
    except (ImportError, ValueError, SQLAlchemyError) as error:
        return Finding(FAIL, f"storage={redact_password(text)}: {str(error).splitlines()[0]}", remedy)
    return Finding(OK, f"{url.render_as_string()} responds")


def _sqlite(file: Path) -> Finding:
    """Check a database file, which a study creates where it is missing."""
    folder = file.absolute().parent
    if not os.access(file if file.exists() else folder, os.W_OK):
        return Finding(FAIL, f"storage=sqlite: {file} is not writable", "choose a writable file")
    return Finding(OK, f"{file}{'' if file.exists() else ' will be created'}")


def check_data(context: PreflightContext) -> Finding:
    """Check that the recordings can be read and give all four splits."""
    splits = load_splits(context.data)
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in splits.splits.items())
    found = f"{context.data.label}: {sizes}; sha256 {splits.sha256[:16]}"
    if splits.too_short:
        return Finding(WARNING, f"{found}; {splits.too_short}", LONGER_REMEDY)
    return Finding(OK, found)
