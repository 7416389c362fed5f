"""Configuration of the verbs on prepared data and on single users, without torch."""

from dataclasses import dataclass

from trainables.core.bounds import Folder, check
from trainables.core.config import require

FORGET, STORE = "forget", "store"  # the verbs
RUNS = "results"  # folder of runs, studies and registries


@dataclass(frozen=True)
class ForgetConfig:
    """Settings of the removal of a user."""

    user: str = ""  # name of the user whose prepared data are deleted, as the splits name them: sapimouse/user64
    runs: Folder = RUNS  # folder below which the models are listed that were trained on this user

    def __post_init__(self) -> None:
        check(self)
        require(self.user != "", "`user` to be the name of a user", "an empty text", "add user=NAME")


@dataclass(frozen=True)
class StoreConfig:
    """Settings of the list of prepared data."""

    verify: bool = False  # compare every array with its hash; exit code 1 where one differs
    prune: bool = False  # delete what another version of the code prepared, and what was not prepared to its end
    json: str = ""  # file to write the list to as JSON, without names of users; empty: none

    def __post_init__(self) -> None:
        check(self)
