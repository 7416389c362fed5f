"""`python -m trainables.detector.judge`: a detector judged on people and bots that it never met, and its card.

    python -m trainables.detector.judge ckpt=FOLDER
    python -m trainables.detector.judge ckpt=FOLDER bots=bots.parquet people=people.parquet out_dir=judgement

Thresholds and temperature are fixed on the validation people and bots under their conditions; all figures are of the
people of `part` and bots under theirs, of bots of others' making (`bots`) and of people of other sources (`people`).
Writes `card.md`, `card.json`, `overview.png` and `reliability.png` into `out_dir`.

The holdout part is refused: each look at it wears it out, so it is kept for the promotion, which keeps a ledger.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from trainables.checkpoint import load_record
from trainables.command import Command, Request, run
from trainables.config import build, plain, require
from trainables.data.canonical import Canonical
from trainables.data.dataset import DataConfig, DataParts, load_parts
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.audit import Audit, audit
from trainables.detector.bots import BOTS
from trainables.detector.card import DetectorCard, Origin
from trainables.detector.config import NegativesConfig
from trainables.detector.judgement import FiguresConfig, judge_scores
from trainables.detector.negatives import Negatives, of_style, together
from trainables.detector.scored import Scored, joined
from trainables.detector.sheets import sheets
from trainables.detector.thirdparty import KIN_FAMILIES, canonical_bots, read_bots, read_people
from trainables.eval.detection_pictures import reliability_diagram

JUDGED_ON = ("validation", "test")
SIMPLE, OTHERS = "simple bots", "others' bots"


@dataclass(frozen=True)
class JudgeConfig:
    """Which detector is judged on whom."""

    ckpt: str = ""
    out_dir: str = "judgement"
    part: str = "test"
    bots: str = ""  # a table of recordings of bots: style, trajectory_id, t_ms, x, y
    people: str = ""  # a table of recordings of people of other sources
    seed: int = 7  # of the bots
    figures: FiguresConfig = field(default_factory=FiguresConfig)

    def __post_init__(self) -> None:
        require(bool(self.ckpt), "`ckpt` names a checkpoint folder", "an empty text", "add ckpt=FOLDER")
        remedy = "the holdout part is kept for the promotion" if self.part == "holdout" else ""
        require(self.part in JUDGED_ON[1:], f"`part` in {{{', '.join(JUDGED_ON[1:])}}}", f"part={self.part}", remedy)


COMMAND = Command(
    module="trainables.detector.judge",
    config_name="detector/judge",
    about="Judge a detector on people and bots that it never met, and write its card:\n\n"
    "  python -m trainables.detector.judge ckpt=FOLDER\n"
    "  python -m trainables.detector.judge ckpt=FOLDER bots=bots.parquet people=people.parquet",
    schemas={"detector/judge_schema": plain(JudgeConfig(ckpt="FOLDER")) | {"ckpt": ""}},
)


def main(request: Request) -> int:
    """Judge, write the card, print its tables."""
    config, console = build(JudgeConfig, request.config), Console()
    card = card_of(config)
    folder = Path(config.out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.md").write_text(card.markdown())
    (folder / "card.json").write_text(json.dumps(card.to_json(), indent=1, sort_keys=True) + "\n")
    calibration = card.judgement.calibration
    reliability_diagram(calibration.before, calibration.after, folder / "reliability.png")
    for sheet in sheets(card.judgement):
        console.print(sheet.terminal())
    if card.audit is not None:
        console.print(card.audit.finding, highlight=False)
    console.print(f"card and pictures: {folder.resolve()}", highlight=False, soft_wrap=True)
    return 0


def card_of(config: JudgeConfig) -> DetectorCard:
    """The card of a checkpoint.

    Raises:
        ConfigError, CheckpointError, RecordingError: what is wrong with the command or its files, in one line.
    """
    folder = Path(config.ckpt)
    detector, record = load_trained_detector(folder), load_record(folder)
    data = build(DataConfig, record["config"]["data"])
    parts = load_parts(data)
    negatives = build(NegativesConfig, record["config"]["negatives"])
    validation = joined(*compared(detector, parts["validation"], config.seed))
    people, bots = parts[config.part], every_style(detector, parts[config.part], config.seed)
    held_out = joined(*of_both(detector, people, bots), *others(detector, config, parts))
    judgement = judge_scores(validation, held_out, trained_on(negatives), config.figures, KIN_FAMILIES)
    return DetectorCard(folder.name, origin_of(record, data, parts), judgement, audited(people, bots, detector, config))


def compared(detector: Detector, people: Canonical, seed: int) -> Iterator[Scored]:
    """People and bots of every style under their conditions."""
    return of_both(detector, people, every_style(detector, people, seed))


def every_style(detector: Detector, people: Canonical, seed: int) -> Negatives:
    """Bots of every style, each under the conditions of all these people."""
    return together([of_style(style, people, detector.canonical, seed) for style in BOTS])


def of_both(detector: Detector, people: Canonical, bots: Negatives) -> Iterator[Scored]:
    """People of the detector's own source and simple bots, scored."""
    yield Scored.of_people(detector.score(people), people.group, "recordings")
    movements = bots.canonical
    yield Scored.of_bots(detector.score(movements), movements.group, bots.style, bots.family, SIMPLE)


def others(detector: Detector, config: JudgeConfig, parts: DataParts) -> Iterator[Scored]:
    """Bots and people of other sources, scored."""
    if config.bots:
        bots = canonical_bots(read_bots(Path(config.bots)), detector.canonical)
        score, group = detector.score(bots.canonical), bots.canonical.group
        yield Scored.of_bots(score, group, bots.style, bots.family, OTHERS)
    if config.people:
        known = {group for name in ("train", "validation") for group in parts[name].group}
        for source, people in read_people(Path(config.people), detector.canonical, known).items():
            yield Scored.of_people(detector.score(people.canonical), people.canonical.group, source)


def trained_on(negatives: NegativesConfig) -> tuple[str, ...]:
    """Families that a detector learned from."""
    kinds = [kind for kind, share in negatives.shares.items() if share > 0 and kind != "bots"]
    return (*(negatives.families if negatives.bots > 0 else ()), *kinds)


def origin_of(record: Mapping[str, Any], data: DataConfig, parts: DataParts) -> Origin:
    """What the detector was made of."""
    negatives = record["config"]["negatives"]
    alpha = negatives["alpha"]
    told = f"{alpha:g} by count" if alpha is not None else f"as many, each with the weight {negatives['weight']:g}"
    people = {name: f"{len(part)} movements of {len(set(part.group))}" for name, part in parts.parts.items()}
    return Origin(
        record["weights_sha256"], record["data_sha256"], data.source, people, told, dict(record["negatives"]["models"])
    )


def audited(people: Canonical, bots: Negatives, detector: Detector, config: JudgeConfig) -> Audit:
    """Whether nuisances alone tell these bots from these people."""
    return audit(people, bots.canonical, detector.canonical, config.figures.bootstrap, config.seed)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
