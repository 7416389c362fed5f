"""The manifest of a trial: the code, versions, processor, threads, seeds and data that it was trained with.

It is taken by the process that trains, where it trains: on a cluster that is another machine than the driver's. What
the driver alone knows, the state of its checkout, comes in as plain values. Where two manifests agree, training twice
gives the same numbers to the last bit; `differences` describes where they do not. Reading one imports no torch.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, plain
from trainables.core.renamed import config_today
from trainables.core.version import UNNAMED, VERSION

MANIFEST = "manifest.json"
CODE = Path(__file__).resolve().parents[1]  # all of `trainables`, whatever package this file stands in
CPUINFO = Path("/proc/cpuinfo")
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "ray", "optuna", "cursory")
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")
SEEDS = ("seed", "noise_seed")  # names of keys that hold seeds
VECTORS = re.compile(r"(s?sse|avx|fma|f16c|amx|asimd|sve|neon|bf16)\w*")
WORDS = {
    "version": "version of the project",
    "source.commit": "commit",
    "source.diff_sha256": "uncommitted changes",
    "source.constraints_sha256": "constraints.txt",
    "source.reason": "why no commit is known",
    "code_sha256": "code of trainables",
    "data_sha256": "data",
    "processor.flags_sha256": "flags of the processor",
}


@dataclass(frozen=True)
class Manifest:
    """Frozen record of everything one trial was trained with: plain values, equal to those read back from its file.

    Attributes:
        config: The trainable's whole configuration, searched values in place.
        seeds: Dotted key of the configuration -> seed.
        source: The driver's checkout: commit or why there is none, uncommitted changes, constraints.txt.
        code_sha256: Over the files of `trainables` that this process runs.
        workers: Processes that train the model together.
        version: Version of the project that wrote it.
    """

    trainable: str
    config: Mapping[str, Any]
    seeds: Mapping[str, Any]
    data_sha256: str
    source: Mapping[str, Any]
    code_sha256: str
    versions: Mapping[str, Any]
    processor: Mapping[str, Any]
    threads: Mapping[str, Any]
    numerics: Mapping[str, Any]
    device: str
    workers: int
    machine: Mapping[str, Any]
    version: str = VERSION

    @classmethod
    def here(
        cls,
        trainable: str,
        config: Mapping[str, Any],
        data_sha256: str,
        source: Mapping[str, Any],
        *,
        device: Any = "cpu",
        workers: int = 1,
    ) -> "Manifest":
        """The manifest of this process, its threads and its device being as they are while it trains.

        Args:
            device: Of torch, or its name.
        """
        from trainables.training import numerics

        taken = cls(
            trainable=trainable,
            config=config,
            seeds=dict(seeds_of(config)),
            data_sha256=data_sha256,
            source=source,
            code_sha256=code_sha256(CODE),
            versions={"python": sys.version.split()[0], **{name: installed(name) for name in PACKAGES}},
            processor={**_processor(), "kernels": numerics.kernels()},
            threads={"torch": numerics.threads(), **{name: os.environ.get(name) for name in VARIABLES}},
            numerics=numerics.switches(),
            device=numerics.device_name(device),
            workers=workers,
            machine=_machine(),
        )
        return cls(**plain(taken))

    def to_json(self) -> dict[str, Any]:
        """Nested plain values; inverse of `from_json`."""
        return plain(self)

    @classmethod
    def from_json(cls, mapping: Any) -> "Manifest":
        """Return the manifest of nested plain values, also of those that an older version wrote; inverse of `to_json`.

        Raises:
            ConfigError: no mapping, or keys that are missing or too many.
        """
        expected = {field.name for field in fields(cls)}
        given = {"version": UNNAMED, **mapping} if isinstance(mapping, Mapping) else {}
        if set(given) != expected or not isinstance(given["config"], Mapping):
            raise ConfigError(f"expected a manifest to have the keys {', '.join(sorted(expected))}, but got {mapping}")
        return cls(**{**given, "config": config_today(given["config"])})

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into a folder, wholly or not at all; a trial that is started again replaces it."""
        write_atomically(folder / MANIFEST, json.dumps(self.to_json(), indent=1, sort_keys=True) + "\n")

    def write_after(self, epoch: int, folder: Path) -> None:
        """Write it for the epochs after `epoch`; what those before were trained with is kept where it differs."""
        before, kept = Manifest.read(folder), folder / f"manifest-{epoch:04d}.json"
        if epoch and before not in (None, self) and not kept.exists():
            (folder / MANIFEST).replace(kept)
        self.write(folder)

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """The manifest in a folder; None where there is none.

        Raises:
            ConfigError: a file that is none of ours.
        """
        file = folder / MANIFEST
        try:
            return cls.from_json(json.loads(file.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: not a readable manifest ({error}); remove it to continue without") from None


def differences(before: Manifest, now: Manifest) -> list[str]:
    """Return one line per difference: `versions.torch: 2.13.0, now 2.12.0`; none where the manifests agree."""
    old, new = dict(_leaves(before.to_json())), dict(_leaves(now.to_json()))
    changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return [f"{WORDS.get(key, key)}: {_shown(old.get(key))}, now {_shown(new.get(key))}" for key in changed]


def _leaves(node: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping under its dotted key."""
    if not isinstance(node, Mapping):
        yield at, node
        return
    for name, child in node.items():
        yield from _leaves(child, f"{at}.{name}" if at else str(name))


def _shown(value: Any) -> str:
    """A value as a line shows it; of a hash its head."""
    text = "none" if value is None else str(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{40,64}", text) else text


def seeds_of(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every seed of a configuration under its dotted key, without those that are null.

    >>> dict(seeds_of({"seed": 0, "evaluation": {"seed": 7, "folds": 5}}))
    {'seed': 0, 'evaluation.seed': 7}
    """
    return ((key, value) for key, value in _leaves(config) if key.rpartition(".")[2] in SEEDS and value is not None)


def installed(package: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def code_sha256(folder: Path) -> str:
    """SHA-256 over the names and bytes of all Python files below a folder: equal code without git, read once."""
    head = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        body = file.read_bytes()
        head.update(f"{file.relative_to(folder).as_posix()} {len(body)}\n".encode() + body)
    return head.hexdigest()


def _processor() -> dict[str, Any]:
    text = CPUINFO.read_text() if CPUINFO.is_file() else ""
    return described_processor(text)


def described_processor(cpuinfo: str) -> dict[str, Any]:
    """Model, vector extensions and a hash of all flags, from the text of /proc/cpuinfo; null where it lacks them."""
    model = _first(r"model name\s*:(.*)", cpuinfo)
    flags = _first(r"(?:flags|Features)\s*:(.*)", cpuinfo)
    words = sorted((flags or "").split())
    return {
        "model": model,
        "vectors": [word for word in words if VECTORS.fullmatch(word)],
        "flags_sha256": hashlib.sha256(" ".join(words).encode()).hexdigest() if words else None,
    }


def _first(line: str, text: str) -> str | None:
    found = re.search(f"^{line}$", text, re.MULTILINE)
    return found[1].strip() if found else None


def _machine() -> dict[str, Any]:
    here = os.uname()
    return {"system": here.sysname, "release": here.release, "architecture": here.machine, "host": here.nodename}
