"""Manifests: complete, equal in another process, and differences are described in words."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import trainables
from trainables.core.config import ConfigError, plain
from trainables.diffusion.config import DiffusionConfig
from trainables.training.manifest import (
    CODE,
    MANIFEST,
    Manifest,
    code_sha256,
    described_processor,
    differences,
    seeds_of,
)

SOURCE = {"commit": "a" * 40, "reason": None, "dirty": True, "diff_sha256": "b" * 64, "constraints_sha256": "c" * 64}
CONFIG = {"seed": 3, "evaluation": {"seed": 7, "folds": 5}, "betas": (0.9, 0.999)}


def taken(**changes: Any) -> Manifest:
    return replace(Manifest.here("diffusion", CONFIG, "d" * 64, SOURCE), **changes)


def test_a_manifest_is_restored_from_its_file(tmp_path: Path) -> None:
    before = taken()
    before.write(tmp_path)
    assert Manifest.read(tmp_path) == before
    assert Manifest.from_json(json.loads(json.dumps(before.to_json()))) == before
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_a_trial_that_starts_again_replaces_its_manifest(tmp_path: Path) -> None:
    taken().write(tmp_path)
    taken(workers=2).write(tmp_path)
    found = Manifest.read(tmp_path)
    assert found is not None
    assert found.workers == 2


def test_a_resumed_run_keeps_the_manifests_of_its_earlier_epochs(tmp_path: Path) -> None:
    """Each starts after the epoch; the third start at 4 recorded no epoch before the fourth replaced it."""
    for epoch, workers in ((0, 1), (2, 1), (4, 2), (4, 3), (6, 5)):
        taken(workers=workers).write_after(epoch, tmp_path)
    found = {path.name: json.loads(path.read_text())["workers"] for path in tmp_path.iterdir()}
    assert found == {"manifest-0004.json": 1, "manifest-0006.json": 3, MANIFEST: 5}


def test_no_manifest_is_none_and_a_damaged_one_is_reported(tmp_path: Path) -> None:
    assert Manifest.read(tmp_path) is None
    for text in ("{", "[]", '{"trainable": "diffusion"}', "1"):
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(ConfigError, match="not a readable manifest") as exc_info:
            Manifest.read(tmp_path)
        assert "\n" not in str(exc_info.value)


def test_every_seed_of_a_configuration_is_named() -> None:
    config = plain(DiffusionConfig(seed=11))
    assert dict(seeds_of(config)) == {"seed": 11, "evaluation.seed": config["evaluation"]["seed"]}


def test_equal_manifests_differ_in_nothing_and_each_change_is_one_line() -> None:
    before = taken()
    assert differences(before, taken()) == []
    now = replace(
        before,
        versions={**before.versions, "torch": "1.0"},
        source={**before.source, "commit": "e" * 40, "diff_sha256": None},
        threads={**before.threads, "torch": 99},
    )
    torch_version = before.versions["torch"]
    assert sorted(differences(before, now)) == [
        "commit: aaaaaaaaaaaa, now eeeeeeeeeeee",
        f"threads.torch: {torch.get_num_threads()}, now 99",
        "uncommitted changes: bbbbbbbbbbbb, now none",
        f"versions.torch: {torch_version}, now 1.0",
    ]


def test_a_key_that_only_one_of_them_has_differs() -> None:
    before = taken()
    now = replace(before, config={**before.config, "new": 1})
    assert differences(before, now) == ["config.new: none, now 1"]
    assert differences(now, before) == ["config.new: 1, now none"]


@pytest.mark.heavy
def test_another_process_on_this_machine_takes_the_same_manifest() -> None:
    script = (
        "import json, sys, torch; from trainables.training.manifest import Manifest; torch.set_num_threads(1);"
        "print(json.dumps(Manifest.here('diffusion', json.loads(sys.argv[1]), 'd' * 64, {}).to_json()))"
    )
    command = [sys.executable, "-c", script, json.dumps(CONFIG)]
    root = CODE.parent
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert Manifest.from_json(json.loads(done.stdout)) == Manifest.here("diffusion", CONFIG, "d" * 64, {})


def test_the_hash_of_code_is_that_of_its_definition_and_covers_names_and_bytes(tmp_path: Path) -> None:
    def folder(name: str, files: dict[str, str]) -> Path:
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / name

    body = {"b/c.py": "y\n", "a.py": "x = 1\n", **{f"{name}.py": name for name in "zqmkjhw"}}
    expected = hashlib.sha256()
    for name in sorted(body):
        expected.update(name.encode() + b" " + str(len(body[name])).encode() + b"\n" + body[name].encode())
    assert code_sha256(folder("one", body)) == expected.hexdigest()
    assert code_sha256(folder("two", {**body, "notes.txt": "no code"})) == expected.hexdigest()
    renamed = {name.replace("c.py", "d.py"): text for name, text in body.items()}
    others = [{**body, "a.py": "x = 2\n"}, renamed, {**body, "e.py": ""}]
    hashes = {code_sha256(folder(f"other{number}", files)) for number, files in enumerate(others)}
    assert len(hashes | {expected.hexdigest()}) == 4


def test_a_change_in_any_package_of_trainables_changes_the_hash(tmp_path: Path) -> None:
    assert Path(trainables.__file__).parent == CODE
    fresh = code_sha256.__wrapped__  # the function itself remembers each folder
    copy = shutil.copytree(CODE, tmp_path / "trainables", ignore=shutil.ignore_patterns("__pycache__"))
    before = fresh(copy)
    assert before == code_sha256(CODE)
    for package in sorted({file.parent for file in copy.rglob("*.py")}):
        changed = package / "__init__.py"
        text = changed.read_text()
        changed.write_text(text + "changed = 1\n")
        assert fresh(copy) != before, package
        changed.write_text(text)
    assert fresh(copy) == before


INTEL = (
    "processor\t: 0\nmodel name\t: Some CPU @ 2GHz\nflags\t\t: fpu avx2 sse4_2 fma ssse3 avx512f\nbugs\t\t: none\n" * 2
)
ARM = "processor\t: 0\nBogoMIPS\t: 50\nFeatures\t: fp asimd sve crc32\n"


def test_a_processor_is_described_by_its_model_and_vector_extensions() -> None:
    found = described_processor(INTEL)
    assert found["model"] == "Some CPU @ 2GHz"
    assert found["vectors"] == ["avx2", "avx512f", "fma", "sse4_2", "ssse3"]
    assert found["flags_sha256"] == hashlib.sha256(b"avx2 avx512f fma fpu sse4_2 ssse3").hexdigest()
    assert described_processor(ARM)["vectors"] == ["asimd", "sve"]
    assert described_processor(INTEL.replace("fma ", ""))["flags_sha256"] != found["flags_sha256"]


def test_a_system_without_processor_information_gives_nulls() -> None:
    assert described_processor("") == {"model": None, "vectors": [], "flags_sha256": None}
