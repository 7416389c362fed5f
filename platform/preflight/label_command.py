"""Run `python -m platform.labels`: compute the labels, print them, compute them again in every way, and compare.

The labels are those of the human movements of all splits and of scripted bots of every style.
"""

import json
import os
import subprocess
import sys

import torch
from rich.console import Console
from torch import Tensor

from platform.core.console import columns, print_facts, print_heading, print_line, print_table
from platform.core.provenance import ROOT
from platform.preflight.config import LabelsConfig
from platform.preflight.context import FAIL
from platform.preflight.label_checks import CHECKS, Rows, Subject, numbered, run_check
from trainables.core.cli import FAILED
from trainables.core.config import ConfigError, build, plain
from trainables.core.seeding import generator
from trainables.data.canonical import concatenate
from trainables.data.labels import HUMAN, KINDS, DatasetLabels, LabelMap
from trainables.data.splits.loading import load_splits
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.mixture import conditions_for
from trainables.detector.dataset.negative_sources import ScriptedBots
from trainables.detector.dataset.training_set import label_maps

ANSWER_S = 600.0  # a new process imports everything and makes all the bots again


def check_labels(config: LabelsConfig, trainable: DetectorConfig) -> int:
    """Label the data, print the labels, check them, print the findings; returns the exit code."""
    console, rows = Console(), rows_of(trainable)
    labels = rows.labels()
    show_labels(console, labels)
    return show_findings(console, Subject(labels, rows, config, lambda: elsewhere(trainable)))


def rows_of(config: DetectorConfig) -> Rows:
    """Return the movements of all splits, then as many scripted bots of all families under their conditions."""
    splits = load_splits(config.data)
    human = concatenate(*splits.splits.values())
    like = conditions_for(human, len(human), generator(config.seed, "labels"))
    bots = ScriptedBots(tuple(FAMILIES), config.data.canonical)(like, config.seed)
    return Rows(label_maps(), concatenate(human, bots.canonical), (*(HUMAN,) * len(human), *bots.style))


def elsewhere(config: DetectorConfig) -> tuple[Tensor, str]:
    """Return the labels [N, 4] and their hash from a new interpreter with another hash seed.

    Raises:
        ConfigError: it failed; with its last line.
    """
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", "from platform.preflight.label_command import answer; answer()"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        input=json.dumps(plain(config)),
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
        check=False,
    )
    if done.returncode:
        line = (done.stderr.splitlines() or ["-"])[-1]
        raise ConfigError(f"a new process exited with code {done.returncode}: {line}")
    labels = json.loads(done.stdout)
    return torch.tensor(labels["rows"]), labels["sha256"]


def answer() -> None:
    """Print the labels of all rows and their hash as JSON, for the configuration on standard input."""
    labels = rows_of(build(DetectorConfig, json.load(sys.stdin))).labels()
    print(json.dumps({"rows": numbered(torch.arange(len(labels)), labels).tolist(), "sha256": labels.sha256}))


def show_labels(console: Console, labels: DatasetLabels) -> None:
    """Print the three maps with their hashes, and the numbers of human and bot movements per label."""
    bots = int(labels.is_bot.sum())
    print_heading(console, f"Labels of {len(labels):,} movements: {len(labels) - bots:,} human, {bots:,} of bots")
    print_facts(console, {"sha256 of the label maps": labels.maps.sha256, "sha256 of all rows": labels.sha256})
    for kind in KINDS:
        found: LabelMap = getattr(labels.maps, kind)
        print_heading(console, f"{kind.capitalize()}: {len(found)} labels, sha256 {found.sha256[:16]}")
        table = columns(">label", "name", ">human", ">bots")
        numbers = [getattr(labels, kind)[labels.is_bot == bot].bincount(minlength=len(found)) for bot in (False, True)]
        for label, (name, human, bot) in enumerate(zip(found.names, *(n.tolist() for n in numbers), strict=True)):
            table.add_row(str(label), name, f"{human:,}", f"{bot:,}")
        print_table(console, table)


def show_findings(console: Console, subject: Subject) -> int:
    """Print the table of the checks and return the exit code."""
    findings = {name: run_check(check, subject) for name, check in CHECKS.items()}
    print_heading(console, "Checks")
    table = columns("", "check", "~found")
    for name, finding in findings.items():
        table.add_row(finding.state, name, finding.text)
    print_table(console, table)
    failed = sum(finding.state == FAIL for finding in findings.values())
    print_line(console, f"{len(findings) - failed} ok, {failed} failed")
    return FAILED if failed else 0
