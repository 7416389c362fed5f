"""Optuna's artifact store of a study: its pictures, which optuna-dashboard shows beside trials and study."""

import mimetypes
from collections.abc import Iterable
from pathlib import Path

from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.trial import FrozenTrial

from platform.study.paths import StudyInFolder

ARTIFACTS = "artifacts"


def upload_pictures(study: StudyInFolder, trial: int, folder: Path, of_study: Iterable[str] = ()) -> None:
    """Upload the pictures of a study's folder to the store beside them, each version once.

    Args:
        trial: Number of the trial that the pictures show.
        folder: Of the study.
        of_study: Names of the pictures that show the study as a whole.
    """
    owner: StudyInFolder | FrozenTrial
    (folder / ARTIFACTS).mkdir(parents=True, exist_ok=True)
    store, shown = FileSystemArtifactStore(folder / ARTIFACTS), study.get_trials(deepcopy=False)[trial]
    for picture in sorted((folder / "pictures").glob("*.png")):
        owner = study if picture.name in of_study else shown
        if not _is_uploaded(study, owner, picture, folder / ARTIFACTS):
            upload_artifact(
                artifact_store=store,
                file_path=str(picture),
                study_or_trial=owner,
                storage=study.storage,
                mimetype=mimetypes.guess_type(picture.name)[0],
            )


def _is_uploaded(study: StudyInFolder, owner: StudyInFolder | FrozenTrial, picture: Path, store: Path) -> bool:
    """Whether the store holds a picture of this name and content."""
    found = [meta for meta in get_all_artifact_meta(owner, storage=study.storage) if meta.filename == picture.name]
    files = (store / meta.artifact_id for meta in found)
    return any(file.is_file() and file.read_bytes() == picture.read_bytes() for file in files)
