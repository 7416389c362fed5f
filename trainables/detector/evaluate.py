"""`python -m trainables.detector.judge`: a detector judged on people and bots that it never met, and its card.

    python -m trainables.detector.judge ckpt=FOLDER
    python -m trainables.detector.judge ckpt=FOLDER bots=bots.parquet people=people.parquet out_dir=judgement

Thresholds and temperature are fixed on the validation people and bots under their conditions; all figures are of the
people of `split` and bots under theirs, of bots of others' making (`bots`) and of people of other sources (`people`).
Writes `card.md`, `card.json` and the pictures `caught.png`, `reliability.png` and `sessions.png` into `out_dir`.

The holdout split is refused: each look at it wears it out, so it is kept for the promotion, which keeps a ledger.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from trainables.core.cli import Command, Request, run
from trainables.core.config import ConfigError, build, plain, require
from trainables.data.canonical import concatenate
from trainables.data.config import DataConfig
from trainables.data.dataset import DataSplits, load_splits
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.config import NegativesConfig
from trainables.detector.evaluation.config import FiguresConfig
from trainables.detector.evaluation.embedding_probes import EmbeddingProbes, embeddings_of, probe_embeddings
from trainables.detector.evaluation.evaluation_set import EvaluationSet, Sides, require_detector_split
from trainables.detector.evaluation.leave_one_out_matrix import table_of
from trainables.detector.evaluation.model_card import DetectorCard, Origin
from trainables.detector.evaluation.report import DetectorJudgement
from trainables.detector.evaluation.shortcut_audit import Audit, audit
from trainables.detector.evaluation.tables import sheets, show
from trainables.eval.detection.plots import caught_bars, reliability_diagram, session_curves
from trainables.eval.intervals.cluster_bootstrap import Estimate
from trainables.training.checkpoint import load_record


@dataclass(frozen=True)
class JudgeConfig:
    """Which detector is judged on whom."""

    ckpt: str = ""
    out_dir: str = "judgement"
    split: str = "test"
    bots: str = ""  # a table of recordings of bots: style, trajectory_id, t_ms, x, y
    people: str = ""  # a table of recordings of people of other sources
    leave_one_out: str = ""  # leave_one_out.json of detectors trained as this one, for the card
    seed: int = 7  # of the bots
    figures: FiguresConfig = field(default_factory=FiguresConfig)

    def __post_init__(self) -> None:
        require(bool(self.ckpt), "`ckpt` to be a checkpoint folder", "an empty text", "add ckpt=FOLDER")
        require_detector_split(self.split)


COMMAND = Command(
    module="trainables.detector.judge",
    config_name="detector/judge",
    about="Judge a detector on people and bots that it never met, and write its card:\n\n"
    "  python -m trainables.detector.judge ckpt=FOLDER\n"
    "  python -m trainables.detector.judge ckpt=FOLDER bots=bots.parquet people=people.parquet\n"
    "  python -m trainables.detector.judge ckpt=FOLDER leave_one_out=results/leave_one_out/leave_one_out.json",
    schemas={"detector/judge_schema": plain(JudgeConfig(ckpt="FOLDER")) | {"ckpt": ""}},
)


def main(request: Request) -> int:
    """Judge, write the card and its pictures, print its tables."""
    config, console = build(JudgeConfig, request.config), Console()
    card, folder = card_of(config), Path(config.out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.md").write_text(card.markdown())
    (folder / "card.json").write_text(json.dumps(card.to_json(), indent=1, sort_keys=True) + "\n")
    draw(card.judgement, folder)
    probed = () if isinstance(card.probes, str) else (card.probes.sheet(),)
    show(console, (*sheets(card.judgement), *probed))
    for line in (*card.left_out, *card.findings, f"card and pictures: {folder.resolve()}"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0


def draw(judgement: DetectorJudgement, folder: Path) -> None:
    """What is caught of every style, how reliable the probabilities are, and what several movements add."""
    fpr, calibration = judgement.thresholds[0].target_fpr, judgement.calibration
    caught_bars([(row.name, row.training, row.caught[0]) for row in judgement.styles], fpr, folder / "caught.png")
    reliability_diagram(calibration.before, calibration.after, folder / "reliability.png")
    curves: dict[str, list[tuple[int, Estimate, float]]] = {}
    for row in judgement.sessions.rows:
        curves.setdefault(row.bots, []).append((row.n, row.auc, row.auc_if_independent))
    session_curves({name: points for name, points in curves.items() if len(points) > 1}, folder / "sessions.png")


def card_of(config: JudgeConfig) -> DetectorCard:
    """The card of a checkpoint.

    Raises:
        ConfigError, CheckpointError, RecordingError: what is wrong with the command or its files, in one line.
    """
    folder = Path(config.ckpt)
    detector, record = load_trained_detector(folder), load_record(folder)
    data = build(DataConfig, record["config"]["data"])
    table = table_of(Path(config.leave_one_out), record["config"]) if config.leave_one_out else None
    splits = load_splits(data)
    met = EvaluationSet.of(splits, config.split, detector.canonical, config.seed, config.bots, config.people)
    judgement = met.judgement(detector, build(NegativesConfig, record["config"]["negatives"]), config.figures)
    return DetectorCard(
        folder.name,
        origin_of(record, data, splits),
        judgement,
        audited(met.held_out, detector, config),
        table,
        probes=probed(met, detector, config),
        left_out=met.left_out,
    )


def origin_of(record: Mapping[str, Any], data: DataConfig, splits: DataSplits) -> Origin:
    """What the detector was made of."""
    negatives = record["config"]["negatives"]
    alpha = negatives["alpha"]
    told = f"{alpha:g} by count" if alpha is not None else f"as many, each with the weight {negatives['weight']:g}"
    people = {name: f"{len(split)} movements of {len(set(split.group))}" for name, split in splits.splits.items()}
    return Origin(
        record["weights_sha256"], record["data_sha256"], data.source, people, told, dict(record["negatives"]["models"])
    )


def audited(met: Sides, detector: Detector, config: JudgeConfig) -> Audit:
    """Whether nuisances alone tell these bots from these people."""
    return audit(met.people, met.bots.canonical, detector.canonical, config.figures.bootstrap, config.seed)


def probed(met: EvaluationSet, detector: Detector, config: JudgeConfig) -> EmbeddingProbes | str:
    """What the embeddings tell of people whom the detector was not trained on; or why that is unknown."""
    people = concatenate(met.validation.people, met.held_out.people)
    try:
        return probe_embeddings(
            embeddings_of(detector), people, detector.canonical, config.figures.bootstrap, config.seed
        )
    except ConfigError as error:
        return f"Not made: {error}."


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
