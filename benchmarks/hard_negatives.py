"""Does training with hard negatives raise the share caught of bot families that a detector never met?

Four arms of detectors, alike but for what half of their bots are, trained with the same number of bots and of steps:

    simple              simple bots alone
    simple + GAN        half of them fakes of a GAN
    simple + diffusion  half of them fakes of a diffusion
    simple + hard       half of them samples of that diffusion which a detector of the first arm takes for people

The hard ones come from the running service: the diffusion and a detector of a seed of its own are published, `python -m
serve` draws movements whose score lies in `hardness`, and the service is ended. A detector counts as it is after its
last epoch: none is chosen by the families that it is judged on. See `benchmarks.support.unseen` for these, and
`benchmarks.support.arms` for the intervals.

Simple bots move anew in every epoch. The others are drawn once, fakes one per movement of the training people and hard
ones as many as a training has bots, and an epoch takes about half of them, by chance. Fakes have the conditions of
those people; with a hardness the service draws the conditions from the same people, and those under which the detector
is fooled more often come more often.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.support.arms import Outcome, by_family, compared, picture, tables
from benchmarks.support.sources import Sources, checkpoint_of, hard_negatives, trained
from benchmarks.support.unseen import UnseenJudge
from trainables.core.atomic_files import replace as write
from trainables.core.cli import Command, Request, run
from trainables.core.config import build, plain, require
from trainables.core.formatting import clock
from trainables.detector.api import load_trained_detector
from trainables.detector.config import DetectorConfig, NegativesConfig
from trainables.detector.dataset.negatives import weights_of
from trainables.diffusion.config import DiffusionConfig
from trainables.gan.config import GanConfig
from trainables.training.checkpoint import load_record

ABOUT = """
Does training with hard negatives raise the share caught of bot families that were never trained on?

  python -m benchmarks.hard_negatives                            trains and serves all that it needs
  python -m benchmarks.hard_negatives bots=bots.parquet          judged on bots of others' making as well
  python -m benchmarks.hard_negatives gan_checkpoint=FOLDER diffusion_checkpoint=FOLDER seeds=3

The same command again goes on where it was cut; after a change of the code take another out_dir. Writes results.json,
tables.md and picture.png there.
"""
BASE = "simple"
ARMS: dict[str, Mapping[str, float]] = {
    BASE: {"bots": 1.0},
    "simple + GAN": {"bots": 0.5, "gan": 0.5},
    "simple + diffusion": {"bots": 0.5, "diffusion": 0.5},
    "simple + hard": {"bots": 0.5, "served": 0.5},
}
"""Name -> shares of the sources of its bots."""


@dataclass(frozen=True)
class StudyConfig:
    """What is compared, and on what.

    `gan` and `diffusion` are trained as they say unless a checkpoint is given; `detector` is common to all arms.
    """

    out_dir: str = "results/hard_negatives"
    seeds: int = 5
    threads: int = 1
    gan_checkpoint: str = ""
    diffusion_checkpoint: str = ""
    bots: str = ""  # a table of recordings of bots of others' making: style, trajectory_id, t_ms, x, y
    hardness: tuple[float, ...] = (0.0, 0.1)  # of the published detector's score: clearly people to it
    gan: GanConfig = field(default_factory=GanConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)

    def __post_init__(self) -> None:
        require(self.seeds >= 2, "`seeds >= 2`", f"seeds={self.seeds}", "one training says nothing of another")
        require(self.threads >= 1, "`threads >= 1`", f"threads={self.threads}")
        pair = len(self.hardness) == 2 and 0 <= self.hardness[0] <= self.hardness[1] <= 1
        require(pair, "`hardness` to be [low, high] in [0, 1]", f"hardness={[*self.hardness]}")
        same = self.gan.data == self.diffusion.data == self.detector.data
        require(same, "`data` of gan, diffusion and detector to be the same", "others")
        shares, ours = self.detector.negatives.shares, NegativesConfig().shares
        require(shares == ours, "`shares of detector.negatives` to be left to the arms", f"{shares}")


COMMAND = Command(
    module="benchmarks.hard_negatives",
    config_name="hard_negatives",
    about=ABOUT,
    schemas={"hard_negatives_schema": StudyConfig},
)


def main(request: Request) -> int:
    """Make the sources, train and judge every arm, compare them."""
    config, console = build(StudyConfig, request.config), Console()
    folder = Path(config.out_dir).expanduser().resolve()
    torch.set_num_threads(config.threads)
    judge = UnseenJudge.fit(config.detector, config.bots)  # whatever is wrong with the bots is told before all else
    sources = sources_of(config, folder, console)
    console.print(f"taken for people: {sources.taken_for_people:.1%} of the diffusion's movements", highlight=False)
    outcomes = [*measured(config, sources, judge, folder, console)]
    told = {"config": plain(config), "judge": dict(judge.told), **told_of(sources)}
    report(outcomes, told, config.detector.judgement.fpr, folder, console)
    return 0


def sources_of(config: StudyConfig, folder: Path, console: Console) -> Sources:
    """Generators and hard negatives, made or found.

    Raises:
        CheckpointError: a given checkpoint is of another kind.
        NotServedError: the service draws too few hard negatives.
    """
    given = {"gan": config.gan_checkpoint, "diffusion": config.diffusion_checkpoint}
    for kind, checkpoint in given.items():
        if checkpoint:
            weights_of(kind, Path(checkpoint).expanduser())
    gan, diffusion = (
        checkpoint_of(kind, given[kind], getattr(config, kind), folder, console) for kind in ("gan", "diffusion")
    )
    drawn = hard_negatives(diffusion, config.hardness, config.detector, folder, console)
    return Sources(gan, diffusion, folder / "served", drawn)


def measured(
    config: StudyConfig, sources: Sources, judge: UnseenJudge, folder: Path, console: Console
) -> Iterator[Outcome]:
    """Every arm of a seed before the next seed, so that what is measured first is a whole comparison."""
    total, began = config.seeds * len(ARMS), time.monotonic()
    for number in range(total):
        seed, arm = number // len(ARMS), [*ARMS][number % len(ARMS)]
        found = outcome(arm, seed, detector_of(arm, seed, config.detector, sources), judge, folder / "arms")
        spent = clock(time.monotonic() - began)
        figures = f"mean {found.mean:.3f}  worst {found.worst:.3f}  people {found.accused:.3f}"
        console.print(f"{spent:>7}  {number + 1}/{total}  seed {seed}  {arm:<20}{figures}", highlight=False)
        yield found


def detector_of(arm: str, seed: int, config: DetectorConfig, sources: Sources) -> DetectorConfig:
    """The configuration of one training; of the sources it names those alone that have a share."""
    places = {
        "gan": {"gan_checkpoint": str(sources.gan)},
        "diffusion": {"diffusion_checkpoint": str(sources.diffusion)},
        "served": {"served_folder": str(sources.served)},
    }
    negatives: dict[str, Any] = {**ARMS[arm]}
    for source in ARMS[arm]:
        negatives |= places.get(source, {})
    return replace(config, seed=config.seed + seed, negatives=replace(config.negatives, **negatives))


def outcome(arm: str, seed: int, config: DetectorConfig, judge: UnseenJudge, folder: Path) -> Outcome:
    """Train and judge one detector, or find it in its folder with its figures."""
    place = folder / arm.replace(" + ", "-").lower() / f"seed-{seed}"
    last = trained("detector", config, place).last
    assert last is not None
    file, of = place / "unseen.json", {**judge.told, "weights_sha256": load_record(last)["weights_sha256"]}
    known = json.loads(file.read_text()) if file.exists() else {}
    if known.get("of") != of:
        known = {"of": of, **judge(load_trained_detector(last))}
        write(file, json.dumps(known, indent=1) + "\n")
    return Outcome(arm, seed, known["caught"], known["accused"])


def told_of(sources: Sources) -> dict[str, Any]:
    """What the arms learned from, as plain values."""
    weights = {kind: weights_of(kind, getattr(sources, kind)) for kind in ("gan", "diffusion")}
    drawn = sources.drawn
    hard = {"movements": len(drawn.canonical), "champion": drawn.model, "refused": drawn.refused, **drawn.request}
    return {"weights_sha256": weights, "hard": hard, "taken_for_people": sources.taken_for_people}


def report(outcomes: list[Outcome], told: Mapping[str, Any], fpr: float, folder: Path, console: Console) -> None:
    """Write and print what came out."""
    figures = {arm: {name: plain(each) for name, each in row.items()} for arm, row in compared(outcomes, BASE).items()}
    families = {family: {arm: plain(each) for arm, each in row.items()} for family, row in by_family(outcomes).items()}
    content = {**told, "arms": figures, "families": families, "outcomes": [plain(each) for each in outcomes]}
    text = tables(outcomes, BASE)
    write(folder / "results.json", json.dumps(content, indent=1) + "\n")
    write(folder / "tables.md", text + "\n")
    picture(outcomes, fpr, folder / "picture.png")
    print(text)
    console.print(f"results, tables and picture: {folder}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
