"""Verbs of `python -m platform.data` on prepared data: `store` lists and verifies it, `forget` removes a user from it.

What imports torch is imported when a verb is run.
"""

from collections.abc import Mapping
from dataclasses import replace

from platform.core.store_config import FORGET, STORE, ForgetConfig, StoreConfig
from platform.study.config import PLAN
from trainables.core.command import Command, Request
from trainables.core.config import build, require

ABOUT_FORGET = """
Remove a user: delete every prepared set that holds movements of this user or values derived from them, and list the
checkpoints below a folder that were trained on them. Neither recordings nor models are deleted; the last line is the
key that leaves the user out of every further training.

  python -m platform.data forget user=sapimouse/user64 --plan           what would be deleted
  python -m platform.data forget user=sapimouse/user64
  python -m platform.data forget user=mine/7 runs=/mnt/humouse          models elsewhere
"""
ABOUT_STORE = """
List the sets of prepared data: recordings, movements, users, size, and when they were prepared.

  python -m platform.data store
  python -m platform.data store verify=true             compare every array with its hash
  python -m platform.data store prune=true --plan       how much other versions of the code have left
  python -m platform.data store prune=true              delete that
"""
STORE_VERBS: Mapping[str, str] = {
    STORE: "the sets of prepared data: list, verify=true, prune=true",
    FORGET: "user=NAME: delete the prepared data of a user, and list the models that were trained on them",
}
STORE_SWITCHES: Mapping[str, str] = {PLAN: "print what forget or prune=true would delete, and delete nothing"}


def verb_command(verb: str, about: str, config: type) -> Command:
    """Return the command of a verb of `platform.data` with keys of its own."""
    return Command(module=f"platform.data {verb}", config_name=verb, about=about, schemas={f"{verb}_schema": config})


STORE_COMMANDS: Mapping[str, Command] = {
    STORE: replace(
        verb_command(STORE, ABOUT_STORE, StoreConfig),
        switches=STORE_SWITCHES,
        exit_codes={1: "with verify=true: a set is damaged"},
    ),
    FORGET: replace(
        verb_command(FORGET, ABOUT_FORGET, ForgetConfig),
        switches=STORE_SWITCHES,
        exit_codes={1: "another process prepares a set: give the command again"},
    ),
}


def run_store_verb(request: Request) -> int:
    """Do what a verb on prepared data says; returns the exit code."""
    plan_only = PLAN in request.switches
    if request.verb == FORGET:
        removal = build(ForgetConfig, request.config)
        from platform.core.forget_user import forget

        return forget(removal, plan_only)
    config = build(StoreConfig, request.config)
    require(
        config.prune or not plan_only, "prune=true with --plan", "--plan alone", "add prune=true, or leave --plan out"
    )
    from platform.core.data_store import list_store

    return list_store(config, plan_only)
