"""Optuna's artifact store of a study: its pictures, which optuna-dashboard shows on the page of the study.

They belong to the study and bear the number of their trial in their names: Optuna refuses to add to an ended trial.
"""

import mimetypes
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact

ARTIFACTS = "artifacts"


def upload_pictures(study: optuna.Study, trial: int, folder: Path, of_study: Collection[str] = ()) -> None:
    """Upload the pictures of a study's folder to the store beside them, each version once.

    Args:
        trial: Number of the trial that the pictures show; `gallery.png` becomes `trial-0003-gallery.png`.
        folder: Of the study.
        of_study: Names of the pictures that show the study as a whole.
    """
    (folder / ARTIFACTS).mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(folder / ARTIFACTS)
    with tempfile.TemporaryDirectory() as staging:
        for picture in sorted((folder / "pictures").glob("*.png")):
            name = picture.name if picture.name in of_study else f"trial-{trial:04d}-{picture.name}"
            if not _is_uploaded(study, name, picture, folder / ARTIFACTS):
                staged = shutil.copyfile(picture, Path(staging) / name)
                upload_artifact(
                    artifact_store=store,
                    file_path=str(staged),
                    study_or_trial=study,
                    mimetype=mimetypes.guess_type(name)[0],
                )


def _is_uploaded(study: optuna.Study, name: str, picture: Path, store: Path) -> bool:
    """Whether the store holds a picture of this name and content."""
    files = [store / meta.artifact_id for meta in get_all_artifact_meta(study) if meta.filename == name]
    return any(file.is_file() and file.read_bytes() == picture.read_bytes() for file in files)
