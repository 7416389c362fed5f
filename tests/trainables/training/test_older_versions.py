"""Checkpoints, manifests, runs and registry entries of earlier versions are read under today's names."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from trainables.core.config import ConfigError, build, plain
from trainables.core.version import VERSION, version_of
from trainables.detector.config import DetectorConfig
from trainables.detector.evaluation.metrics import DETECTION
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import DECISION, Registry, decision_today
from trainables.training.checkpoint import (
    RECORD,
    CheckpointError,
    load_checkpoint,
    load_record,
    resumed,
    save_checkpoint,
)
from trainables.training.manifest import Manifest, differences
from trainables.training.run_folder import CONFIG, METRICS, best_epoch, opened

FORMER = {**plain(DetectorConfig()), "judgement": {"fpr": 0.05, "seed": 7}}
del FORMER["evaluation"]
TODAY = build(DetectorConfig, {"evaluation": {"fpr": 0.05, "seed": 7}})
GENERATOR = {**plain(DiffusionConfig()), "evaluation": {"movements": 60, "probe": "quadratic", "folds": 5, "seed": 3}}
"""The configuration of a generator as version 0.2.0 wrote it."""


def checkpoint(folder: Path) -> Path:
    """A checkpoint with the record that version 0.1.0 wrote."""
    save_checkpoint(folder, {"w": torch.ones(2)}, {"kind": "detector", "config": FORMER, "data_sha256": "d"})
    record = json.loads((folder / RECORD).read_text())
    assert record.pop("version") == VERSION
    (folder / RECORD).write_text(json.dumps(record))
    return folder


def test_a_checkpoint_is_read_and_its_run_resumed(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "old")
    assert build(DetectorConfig, load_record(folder)["config"]) == TODAY
    assert version_of(load_record(folder)) == "0.1.0"
    with resumed(folder, "detector", TODAY, "d") as (tensors, _):
        assert torch.equal(tensors["w"], torch.ones(2))


def test_a_new_checkpoint_names_the_version(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "new", {}, {"kind": "detector"})
    assert load_checkpoint(tmp_path / "new")[1]["version"] == VERSION


def test_a_manifest_is_read_and_differs_in_its_version(tmp_path: Path) -> None:
    now = Manifest.here("detector", plain(TODAY), "d", {})
    former: dict[str, Any] = {**now.to_json(), "config": FORMER}
    del former["version"]
    (tmp_path / "manifest.json").write_text(json.dumps(former))
    found = Manifest.read(tmp_path)
    assert found is not None
    assert differences(found, now) == [f"version of the project: 0.1.0, now {VERSION}"]


def test_a_run_is_continued_with_its_best_epoch(tmp_path: Path) -> None:
    with opened(tmp_path, "detector", TODAY, DETECTION.epoch_order):
        pass
    (tmp_path / CONFIG).write_text(yaml.safe_dump({"trainable": "detector", "config": json.loads(json.dumps(FORMER))}))
    misses = {1: 0.4, 2: 0.3, 3: 0.35}
    with opened(tmp_path, "detector", TODAY, DETECTION.epoch_order) as folder:
        lines = [{"epoch": n, "val/worst_family_miss": v, "val/miss/pid": v} for n, v in misses.items()]
        (tmp_path / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert folder.metrics()[0] == {"epoch": 1, "val/fnr_at_fpr_worst_unseen": 0.4, "val/fnr/pid": 0.4}
        assert best_epoch(folder.metrics(), folder.epoch_order) == 2


def test_the_checkpoint_of_a_generator_with_a_probe_is_read(tmp_path: Path) -> None:
    record = {"kind": "diffusion", "config": GENERATOR, "data_sha256": "d"}
    save_checkpoint(tmp_path / "old", {"w": torch.ones(2)}, record)
    found = build(DiffusionConfig, load_record(tmp_path / "old")["config"])
    assert found == build(DiffusionConfig, {"evaluation": {"movements": 60, "folds": 5, "seed": 3}})
    with resumed(tmp_path / "old", "diffusion", found, "d") as (tensors, _):
        assert torch.equal(tensors["w"], torch.ones(2))


OLDER: dict[str, Any] = plain(DiffusionConfig())
"""The configuration of a generator without keys and groups that are newer than it."""
del OLDER["motion"], OLDER["diffusion"]["times"], OLDER["data"]["frame"]
WITHOUT = {"motion": {"channel": False, "ends": False}}
SAME = build(DiffusionConfig, WITHOUT)
NEWER: tuple[tuple[dict[str, Any], str, object, object], ...] = (
    ({**WITHOUT, "diffusion": {"times": "lognormal"}}, "diffusion.times", "uniform", "lognormal"),
    ({"motion": {**WITHOUT["motion"], "ends": True}}, "motion.ends", False, True),
)


@pytest.mark.parametrize(("change", "key", "former", "now"), NEWER)
def test_a_key_newer_than_a_checkpoint_has_its_default_there(
    change: dict[str, Any], key: str, former: object, now: object, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "old", {"w": torch.ones(2)}, {"kind": "diffusion", "config": OLDER, "data_sha256": "d"})
    with resumed(tmp_path / "old", "diffusion", SAME, "d") as (tensors, _):
        assert torch.equal(tensors["w"], torch.ones(2))
    law = rf"made with another configuration, now {key}={now} \(there: {former}\); start a new run instead$"
    with (
        pytest.raises(CheckpointError, match=law),
        resumed(tmp_path / "old", "diffusion", build(DiffusionConfig, change), "d"),
    ):
        pass
    with (
        pytest.raises(CheckpointError, match="kind `gan`, but got diffusion"),
        resumed(tmp_path / "old", "gan", SAME, "d"),
    ):
        pass


@pytest.mark.parametrize(("change", "key", "former", "now"), NEWER)
def test_a_key_newer_than_a_run_has_its_default_there(
    change: dict[str, Any], key: str, former: object, now: object, tmp_path: Path
) -> None:
    (tmp_path / CONFIG).write_text(yaml.safe_dump({"trainable": "diffusion", "config": OLDER}))
    (tmp_path / METRICS).write_text('{"epoch": 0}\n')
    law = f"holds a run with {key}={former}, but now it is {now}; choose another folder"
    with (
        pytest.raises(ConfigError, match=law),
        opened(tmp_path, "diffusion", build(DiffusionConfig, change), GENERATION.epoch_order),
    ):
        pass
    with opened(tmp_path, "diffusion", SAME, GENERATION.epoch_order) as folder:
        assert folder.metrics() == []  # epoch 0 has no checkpoint, so the run begins anew


def test_the_manifest_of_a_generator_with_a_probe_is_read(tmp_path: Path) -> None:
    written = {**Manifest.here("diffusion", {}, "d", {}).to_json(), "config": GENERATOR}
    (tmp_path / "manifest.json").write_text(json.dumps(written))
    found = Manifest.read(tmp_path)
    assert found is not None
    assert "probe" not in found.config["evaluation"]
    assert build(DiffusionConfig, found.config).evaluation.movements == 60


def test_the_run_of_a_generator_with_a_probe_is_not_continued_under_the_probes_of_today(tmp_path: Path) -> None:
    """Its epochs are ordered by a metric that is no longer measured."""
    today = build(DiffusionConfig, {"evaluation": {"movements": 60, "folds": 5, "seed": 3}})
    with opened(tmp_path, "diffusion", today, GENERATION.epoch_order):
        pass
    run = {"trainable": "diffusion", "config": json.loads(json.dumps(GENERATOR))}
    (tmp_path / CONFIG).write_text(yaml.safe_dump(run))
    (tmp_path / METRICS).write_text('{"epoch": 0}\n')
    law = "holds a run with evaluation.probe=quadratic, but now it is None; choose another folder"
    with (
        pytest.raises(ConfigError, match=law) as exc_info,
        opened(tmp_path, "diffusion", today, GENERATION.epoch_order),
    ):
        pass
    assert "\n" not in str(exc_info.value)


def test_a_registry_is_read(tmp_path: Path) -> None:
    former = {"data": {"part": "holdout", "movements": 4}, "figures": {"val/unseen_miss": {"challenger": None}}}
    with lock_registry(Registry(tmp_path / "registry")) as publisher:
        publisher.publish(checkpoint(tmp_path / "old"), former)
    entry = Registry(tmp_path / "registry").champion()
    assert entry is not None
    assert json.loads((entry.path / DECISION).read_text())["data"] == former["data"]
    assert entry.decision["data"] == {"split": "holdout", "movements": 4}
    assert list(decision_today(entry.decision)["figures"]) == ["val/fnr_unseen"]
