"""Effect of hard negatives on the TPR of unseen bot families: detectors trained with and without them, compared.

Four arms of detectors, which differ in half of their bots and have the same number of bots and of training steps:

    simple              scripted bots only
    simple + GAN        half of them samples of a GAN
    simple + diffusion  half of them samples of a diffusion
    simple + hard       half of them samples of that diffusion which a detector of the first arm takes for human

The hard negatives come from the running service: the diffusion and a detector with its own seed are published, `python
-m serve` samples movements whose score lies in `hardness`, and the service is stopped. The last epoch of a detector is
evaluated: none is selected by the unseen families. See `benchmarks.support.unseen` for these, and
`benchmarks.support.arms` for the intervals.

Scripted bots are generated anew in every epoch. The other bots are sampled once: one per movement of the training users
from the generators, and as many hard negatives as a training has bots; an epoch takes a random half of them. Samples
have the conditions of those users' movements; with a hardness the service samples the conditions from the same
movements, and those under which the detector errs more often are more frequent.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from rich.console import Console

from benchmarks.support.arms import Outcome, by_family, comparison, plot, tables
from benchmarks.support.sources import Sources, checkpoint_of, hard_negatives, trained
from benchmarks.support.unseen import UnseenEvaluator
from trainables.core.atomic_files import write_atomically as write
from trainables.core.bounds import Length, PositiveInt, Range, Share, check
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build, plain, require
from trainables.core.formatting import clock
from trainables.detector.api import load_trained_detector
from trainables.detector.config import DetectorConfig, NegativesConfig
from trainables.detector.dataset.negative_sources import weights_of
from trainables.diffusion.config import DiffusionConfig
from trainables.gan.config import GanConfig
from trainables.training.checkpoint import load_record

ABOUT = """
Compare detectors trained with and without hard negatives by their TPR on bot families that no training has seen.

  python -m benchmarks.hard_negatives                            trains and serves everything that it needs
  python -m benchmarks.hard_negatives bots=bots.parquet          also evaluates on third-party bots
  python -m benchmarks.hard_negatives gan_checkpoint=FOLDER diffusion_checkpoint=FOLDER seeds=3

The same command resumes an interrupted run; after a change of the code use another out_dir. Writes results.json,
tables.md and plot.png there.
"""
BASE = "simple"
ARMS: dict[str, Mapping[str, float]] = {
    BASE: {"bots": 1.0},
    "simple + GAN": {"bots": 0.5, "gan": 0.5},
    "simple + diffusion": {"bots": 0.5, "diffusion": 0.5},
    "simple + hard": {"bots": 0.5, "served": 0.5},
}
"""Arm -> shares of the sources of its bots."""


@dataclass(frozen=True)
class StudyConfig:
    """Configuration of the study.

    `gan` and `diffusion` configure the trainings of the generators, unless checkpoints are given; `detector` is common
    to all arms.
    """

    out_dir: str = "results/hard_negatives"  # folder to write
    # trainings of each arm, each with its own seed; one training has no interval
    seeds: Annotated[int, Range(ge=2)] = 5
    threads: PositiveInt = 1  # torch threads
    gan_checkpoint: str = ""  # checkpoint of a GAN; empty: one is trained
    diffusion_checkpoint: str = ""  # checkpoint of a diffusion; empty: one is trained
    bots: str = ""  # table of recordings of third-party bots: style, trajectory_id, t_ms, x, y
    # [low, high] of the published detector's score of the hard ones: clearly human to it
    hardness: Annotated[tuple[Share, ...], Length(2, 2)] = (0.0, 0.1)
    gan: GanConfig = field(default_factory=GanConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)

    def __post_init__(self) -> None:
        check(self)
        rising = self.hardness[0] <= self.hardness[1]
        require(rising, "`hardness` to be [low, high]", f"hardness={[*self.hardness]}")
        same = self.gan.data == self.diffusion.data == self.detector.data
        require(same, "`data` of gan, diffusion and detector to be the same", "others")
        shares, ours = self.detector.negatives.shares, NegativesConfig().shares
        require(shares == ours, "the default shares in `detector.negatives`, which the arms set", f"{shares}")


COMMAND = Command(
    module="benchmarks.hard_negatives",
    config_name="hard_negatives",
    about=ABOUT,
    schemas={"hard_negatives_schema": StudyConfig},
)


def main(request: Request) -> int:
    """Make the training data, train and evaluate every arm, and compare them."""
    config, console = build(StudyConfig, request.config), Console()
    folder = Path(config.out_dir).expanduser().resolve()
    torch.set_num_threads(config.threads)
    evaluator = UnseenEvaluator.of(config.detector, config.bots)  # first, so that wrong input ends before any training
    sources = sources_of(config, folder, console)
    share = f"{sources.hard_share:.1%} of the diffusion's samples have a score in {[*config.hardness]}"
    console.print(f"hard negatives: {share}", highlight=False, soft_wrap=True)
    outcomes = [*outcomes_of(config, sources, evaluator, folder, console)]
    context = {"config": plain(config), "evaluation": dict(evaluator.settings), **provenance_of(sources)}
    report(outcomes, context, config.detector.evaluation.fpr, folder, console)
    return 0


def sources_of(config: StudyConfig, folder: Path, console: Console) -> Sources:
    """Make the generators and hard negatives, or find them in the folder.

    Raises:
        CheckpointError: a given checkpoint is of another kind.
        NotServedError: the service finds too few hard negatives.
    """
    given = {"gan": config.gan_checkpoint, "diffusion": config.diffusion_checkpoint}
    for kind, checkpoint in given.items():
        if checkpoint:
            weights_of(kind, Path(checkpoint).expanduser())
    gan, diffusion = (
        checkpoint_of(kind, given[kind], getattr(config, kind), folder, console) for kind in ("gan", "diffusion")
    )
    hard = hard_negatives(diffusion, config.hardness, config.detector, folder, console)
    return Sources(gan, diffusion, folder / "served", hard)


def outcomes_of(
    config: StudyConfig, sources: Sources, evaluator: UnseenEvaluator, folder: Path, console: Console
) -> Iterator[Outcome]:
    """Yield every arm of a seed before the next seed, so that an interrupted run has complete comparisons."""
    total, began = config.seeds * len(ARMS), time.monotonic()
    for number in range(total):
        seed, arm = number // len(ARMS), [*ARMS][number % len(ARMS)]
        found = outcome(arm, seed, detector_of(arm, seed, config.detector, sources), evaluator, folder / "arms")
        spent = clock(time.monotonic() - began)
        metrics = f"TPR: mean {found.mean:.3f}  worst family {found.worst:.3f}  FPR {found.fpr:.3f}"
        console.print(
            f"{spent:>7}  {number + 1}/{total}  seed {seed}  {arm:<20}{metrics}", highlight=False, soft_wrap=True
        )
        yield found


def detector_of(arm: str, seed: int, config: DetectorConfig, sources: Sources) -> DetectorConfig:
    """Return the configuration of one training; it names only those sources that have a share in the arm."""
    places = {
        "gan": {"gan_checkpoint": str(sources.gan)},
        "diffusion": {"diffusion_checkpoint": str(sources.diffusion)},
        "served": {"served_folder": str(sources.served)},
    }
    negatives: dict[str, Any] = {**ARMS[arm]}
    for source in ARMS[arm]:
        negatives |= places.get(source, {})
    return replace(config, seed=config.seed + seed, negatives=replace(config.negatives, **negatives))


def outcome(arm: str, seed: int, config: DetectorConfig, evaluator: UnseenEvaluator, folder: Path) -> Outcome:
    """Train and evaluate one detector, or read its evaluation from its folder."""
    place = folder / arm.replace(" + ", "-").lower() / f"seed-{seed}"
    last = trained("detector", config, place).last
    assert last is not None
    settings = {**evaluator.settings, "weights_sha256": load_record(last)["weights_sha256"]}
    file = place / "unseen.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    if known.get("settings") != settings:
        known = {"settings": settings, **evaluator(load_trained_detector(last))}
        write(file, json.dumps(known, indent=1) + "\n")
    return Outcome(arm, seed, known["tpr"], known["fpr"])


def provenance_of(sources: Sources) -> dict[str, Any]:
    """Return the origin of the training data, as plain values."""
    weights = {kind: weights_of(kind, getattr(sources, kind)) for kind in ("gan", "diffusion")}
    served = sources.hard
    hard = {"movements": len(served.canonical), "champion": served.model, "refused": served.refused, **served.request}
    return {"weights_sha256": weights, "hard": hard, "hard_share": sources.hard_share}


def report(outcomes: list[Outcome], context: Mapping[str, Any], fpr: float, folder: Path, console: Console) -> None:
    """Write the results, tables and plot, and print the tables."""
    metrics = {
        arm: {name: plain(each) for name, each in row.items()} for arm, row in comparison(outcomes, BASE).items()
    }
    families = {family: {arm: plain(each) for arm, each in row.items()} for family, row in by_family(outcomes).items()}
    content = {**context, "arms": metrics, "families": families, "outcomes": [plain(each) for each in outcomes]}
    text = tables(outcomes, BASE)
    write(folder / "results.json", json.dumps(content, indent=1) + "\n")
    write(folder / "tables.md", text + "\n")
    plot(outcomes, fpr, folder / "plot.png")
    print(text)
    console.print(f"results, tables and plot: {folder}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
