from pathlib import Path

import pytest
from optuna.artifacts import get_all_artifact_meta

from platform.report.artifacts import ARTIFACTS, upload_pictures
from tests.platform.drivers import Driver
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD


def test_pictures_are_in_the_store_with_their_trial_each_version_once(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.points(2)
    study, folder = driver.study, driver.sweep.settings.folder
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("gallery", "learning_curves"):
        (pictures / f"{name}.png").write_bytes(name.encode())

    def stored() -> list[tuple[str, str, bytes]]:
        found = get_all_artifact_meta(study)
        return sorted((m.filename, m.mimetype, (folder / ARTIFACTS / m.artifact_id).read_bytes()) for m in found)

    first = [
        ("learning_curves.png", "image/png", b"learning_curves"),
        ("trial-0001-gallery.png", "image/png", b"gallery"),
    ]
    for _ in range(2):
        upload_pictures(study, 1, folder, of_study=("learning_curves.png",))
    assert stored() == first
    (pictures / "gallery.png").write_bytes(b"later")
    upload_pictures(study, 1, folder, of_study=("learning_curves.png",))
    assert stored() == [*first, ("trial-0001-gallery.png", "image/png", b"later")]


@pytest.mark.parametrize("objectives", [(VAL_AUC_EXCESS,), (VAL_AUC_EXCESS, VAL_MMD)])
def test_the_values_of_a_study_bear_the_names_of_its_objectives(tmp_path: Path, objectives: tuple[str, ...]) -> None:
    assert Driver(tmp_path, objectives=objectives).study.metric_names == list(objectives)
    assert Driver(tmp_path, objectives=objectives).study.metric_names == list(objectives)
