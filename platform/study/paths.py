"""Paths of a study, recorded relative to its folder: a study can be moved and copied, and none touches another's files.

Earlier versions recorded absolute paths. Of these the part from the folder of trials or of worker groups on counts, so
that a study of theirs that was moved or copied is found where it is now, never where it was.
"""

from pathlib import Path, PurePath
from typing import Any

import optuna

from trainables.training.trial_keys import GROUPS, TRIALS


class StudyInFolder(optuna.Study):
    """A study that knows the folder of its trials.

    Attributes:
        folder: Absolute path; its driver runs there, and all paths of its trials are relative to it.
    """

    def __init__(self, study_name: str, storage: Any, folder: Path) -> None:
        super().__init__(study_name, storage)
        self.folder = folder.absolute()


def folder_of(study: optuna.Study) -> Path | None:
    """Return the folder of a study; None for a study that is not of a sweep."""
    return study.folder if isinstance(study, StudyInFolder) else None


def relative_path(path: str | Path, folder: Path | None) -> str:
    """Return a path as a study records it: relative to its folder.

    A study without a folder records it as it is; so does one for a path outside, which `path_within` finds in no study.
    """
    if folder is None:
        return str(path)
    below, home = Path(path).resolve(), folder.resolve()
    return str(below.relative_to(home)) if below.is_relative_to(home) else str(path)


def path_within(recorded: str | Path, folder: Path | None) -> Path | None:
    """Return the present path of what a study recorded; None if it does not lie within the folder.

    A study without a folder finds it as recorded.
    """
    if folder is None:
        return Path(recorded)
    path = PurePath(recorded)
    if path.is_absolute():
        roots = [index for index, part in enumerate(path.parts) if part in (TRIALS, GROUPS)]
        if not roots:
            return None
        path = PurePath(*path.parts[roots[-1] :])
    found = folder / path
    return found if found.resolve().is_relative_to(folder.resolve()) else None
