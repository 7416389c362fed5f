"""Evaluate a detector on users and bots outside its training, and write its card.

Thresholds and temperature are fitted on the validation users and bots under their conditions; all metrics are of the
users of `split` and bots under theirs, of third-party bots (`bots`), of a trained agent (`agent_checkpoint`) and of
users of other sources (`users`). Writes `card.md`, `card.json` and the plots `detected.png`, `reliability.png` and
`sessions.png` into `out_dir`.

The holdout split is refused: it is reserved for the promotion, which counts its evaluations in a ledger.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from trainables.core.config import ConfigError, build
from trainables.core.output_folder import output_folder
from trainables.data.canonical import concatenate
from trainables.data.config import DataConfig
from trainables.data.readers.recordings import Recording, read_data
from trainables.data.splits.assignment import split_of
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.training_users import users_account
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.external_bots import read_bots
from trainables.detector.dataset.goal_consistency import CRITIC
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.detector.evaluation.embedding_probes import EmbeddingProbes, embeddings_of, probe_embeddings
from trainables.detector.evaluation.evaluation_set import EvaluationSet, HumansAndBots
from trainables.detector.evaluation.leave_one_out_matrix import table_of
from trainables.detector.evaluation.model_card import DetectorCard, TrainingData
from trainables.detector.evaluation.report import DetectorEvaluation
from trainables.detector.evaluation.shortcut_audit import FOLDS, Audit, audit
from trainables.detector.evaluation.tables import show, tables
from trainables.eval.detection.plots import plot_detection_rates, plot_reliability, plot_sessions
from trainables.eval.intervals.cluster_bootstrap import Estimate
from trainables.training.checkpoint import load_record


def write_card(config: DetectorEvaluationCommand) -> int:
    """Evaluate, write the card and its plots, print its tables; returns the exit code."""
    console, folder = Console(), output_folder(config.out_dir)
    card = card_of(config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.md").write_text(card.markdown())
    (folder / "card.json").write_text(json.dumps(card.to_json(), indent=1, sort_keys=True) + "\n")
    plot(card.evaluation, folder)
    probed = () if isinstance(card.probes, str) else (card.probes.table(),)
    show(console, (*tables(card.evaluation), *probed))
    for line in (*card.excluded, *card.findings, f"card and plots: {folder.resolve()}"):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return 0


def plot(evaluation: DetectorEvaluation, folder: Path) -> None:
    """Plot the TPR of every style, the reliability of the probabilities, and the ROC-AUC of sessions."""
    fpr, calibration = evaluation.thresholds[0].target_fpr, evaluation.calibration
    plot_detection_rates(
        [(row.name, row.training, row.detected[0]) for row in evaluation.styles], fpr, folder / "detected.png"
    )
    plot_reliability(calibration.before, calibration.after, folder / "reliability.png")
    curves: dict[str, list[tuple[int, Estimate, float]]] = {}
    for row in evaluation.sessions.rows:
        curves.setdefault(row.bots, []).append((row.n, row.auc, row.auc_if_independent))
    plot_sessions({name: points for name, points in curves.items() if len(points) > 1}, folder / "sessions.png")


def card_of(config: DetectorEvaluationCommand) -> DetectorCard:
    """Return the model card of a checkpoint.

    Raises:
        ConfigError, CheckpointError, RecordingError: The command or one of its files cannot be used.
    """
    folder = Path(config.ckpt)
    detector, record = load_trained_detector(folder), load_record(folder)
    data = build(DataConfig, record["config"]["data"])
    table = table_of(Path(config.leave_one_out), record["config"]) if config.leave_one_out else None
    splits = load_splits(data)
    files = (config.bots, config.users, config.agent_checkpoint)
    evaluation_set = EvaluationSet.of(splits, config.split, detector.canonical, config.seed, *files)
    negatives = build(NegativesConfig, record["config"]["negatives"])
    evaluation = evaluation_set.evaluate(detector, negatives, config.report)
    return DetectorCard(
        folder.name,
        training_data_of(record, data, splits),
        evaluation,
        audited(evaluation_set.held_out, detector, config, data),
        table,
        probes=probed(evaluation_set, detector, config),
        excluded=evaluation_set.excluded,
        agent=evaluation_set.agent.weights_sha256 if evaluation_set.agent is not None else "",
    )


def training_data_of(record: Mapping[str, Any], data: DataConfig, splits: DataSplits) -> TrainingData:
    """Return the training data of a checkpoint."""
    negatives = record["config"]["negatives"]
    alpha = negatives["alpha"]
    balance = f"{alpha:g} by count" if alpha is not None else f"as many, each with weight {negatives['weight']:g}"
    counts = {name: f"{len(split)} movements of {len(set(split.group))} users" for name, split in splits.splits.items()}
    return TrainingData(
        record["weights_sha256"],
        record["data_sha256"],
        data.label,
        counts,
        balance,
        dict(record["negatives"]["models"]),
        users_account(record),
        record.get(CRITIC, {}).get("weights_sha256", ""),
    )


def audited(held_out: HumansAndBots, detector: Detector, config: DetectorEvaluationCommand, data: DataConfig) -> Audit:
    """Audit the held-out bots and users for shortcuts, and the recordings of third-party bots, if there are any."""
    return audit(
        held_out.humans,
        held_out.bots.canonical,
        detector.canonical,
        config.report.bootstrap,
        config.seed,
        raw_recordings(config, data) if config.bots else None,
    )


def raw_recordings(
    config: DetectorEvaluationCommand, data: DataConfig
) -> tuple[Sequence[Recording], Sequence[Recording]] | None:
    """Return the recordings of the split's users and of third-party bots; None if they are too few to audit."""
    everybody = read_data(data).recordings
    users = [recording for recording in everybody if split_of(recording.user, recording.source) == config.split]
    bots = read_bots(Path(config.bots)).recordings
    enough = all(len({recording.user for recording in side}) >= FOLDS for side in (users, bots))
    return (users, bots) if enough else None


def probed(
    evaluation_set: EvaluationSet, detector: Detector, config: DetectorEvaluationCommand
) -> EmbeddingProbes | str:
    """Probe the embeddings of users outside the training, or return the reason why they cannot be probed."""
    humans = concatenate(evaluation_set.validation.humans, evaluation_set.held_out.humans)
    try:
        return probe_embeddings(
            embeddings_of(detector), humans, detector.canonical, config.report.bootstrap, config.seed
        )
    except ConfigError as error:
        return f"Not measured: {error}."
