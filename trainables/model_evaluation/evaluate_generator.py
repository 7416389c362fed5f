"""Evaluate a generator's checkpoint, or a file of samples made elsewhere, on held-out users."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from trainables.core.config import build, plain, require
from trainables.core.output_folder import output_folder
from trainables.data.canonical import Canonical, decode
from trainables.data.config import DataConfig
from trainables.data.evaluation_rows import rows_of
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.detector.dataset.served_negatives import read_served
from trainables.detector.evaluation.tables import show
from trainables.diffusion.api import Generator
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.eval.generation import plots
from trainables.eval.generation.comparison import Comparison
from trainables.eval.generation.movement_reader import MOVEMENT_READERS, Observed, movements_of, read_movements
from trainables.eval.generation.real_and_fake import RealAndFake, from_file, generated, matched
from trainables.eval.generation.report import CHECKS, METRICS, Numbers
from trainables.eval.generation.report_table import key_metrics
from trainables.model_evaluation.config import EvalConfig
from trainables.model_evaluation.detector_probe import detector_probe
from trainables.model_evaluation.generator_card import write_card
from trainables.model_evaluation.selection_account import selection_account
from trainables.model_evaluation.source_table import source_tables, with_kept
from trainables.models import MovementGenerator, load_generator
from trainables.training.checkpoint import RECORD, WEIGHTS, CheckpointError, file_sha256, load_record

MADE = (  # of the record of a file of samples, for the report
    *("kind", "model", "weights_sha256", "model_sha256", "data_sha256", "version", "seed", "sampling", "request"),
)
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "cursory")


def write_report(config: EvalConfig) -> int:
    """Evaluate, write the report and the plots, and print the key metrics; returns the exit code."""
    console, folder = Console(), output_folder(config.out_dir)
    _require_file("val_split", config.val_split)
    with Progress(console=console, transient=True) as progress:
        numbers, comparison = evaluate(config, progress)
    folder.mkdir(parents=True, exist_ok=True)
    if config.ckpt:
        write_card(folder, config, numbers, comparison)
    numbers["plots"] = _plot(comparison, numbers["metrics"], folder)
    text = json.dumps(numbers, indent=1, sort_keys=True, allow_nan=False)
    (folder / "report.json").write_text(text + "\n")
    console.print(key_metrics(numbers))
    show(console, source_tables(numbers["metrics"].get("probes", {})))
    written = "report, card and plots" if config.ckpt else "report and plots"
    console.print(f"{written}: {folder.resolve()}", highlight=False, soft_wrap=True)
    return 0


def evaluate(config: EvalConfig, progress: Progress) -> tuple[Numbers, Comparison]:
    """Return the numbers of the report, and the movements that were compared.

    Raises:
        ConfigError, CheckpointError, RecordingError: The command or one of its files cannot be used.
    """
    given = (of_checkpoint if config.ckpt else of_file)(config, progress)
    movements = given.movements
    comparison = Comparison(
        movements.real, movements.fake, movements.training, config.comparison, movements.requested, movements.in_pairs
    )
    work = {**CHECKS, **{name: METRICS[name] for name in config.metrics}}
    results = {name: work[name](comparison) for name in progress.track(work, description="computing metrics")}
    if "probes" in results and not config.val_split:
        results["probes"] = with_kept(results["probes"], given.splits.kept)
    by_detector: Numbers = {}
    if config.detector_checkpoint:
        by_detector = {"detector": detector_probe(comparison, Path(config.detector_checkpoint))}
    return {
        "evaluated": given.origin,
        "real": {"source": config.val_split or config.split, **_counts("real", movements.real, movements)},
        "fake": _counts("fake", movements.fake, movements),
        "training": {"movements": len(movements.training), "users": len(set(movements.training.group))},
        "data": {**plain(given.data), "sha256": given.splits.sha256},
        "config": {**plain(config), "samples": "".join(config.samples)},
        "checks": {name: results[name] for name in CHECKS},
        "metrics": {name: results[name] for name in config.metrics} | by_detector,
        "versions": {"python": sys.version.split()[0], **{package: version(package) for package in PACKAGES}},
    }, comparison


@dataclass(frozen=True, eq=False)
class EvaluationInput:
    """Movements of an evaluation, with their origin and data.

    Attributes:
        origin: Checkpoint or file with its hash, for the report.
    """

    origin: Numbers
    data: DataConfig
    splits: DataSplits
    movements: RealAndFake


def of_checkpoint(config: EvalConfig, progress: Progress) -> EvaluationInput:
    """Sample a checkpoint under the conditions of each real movement.

    Raises:
        CheckpointError: The checkpoint cannot be used, or was trained on other data than the present ones.
    """
    folder = Path(config.ckpt)
    source, record = with_sampling(load_generator(folder, config.device), config), load_record(folder)
    data = build(DataConfig, record["config"]["data"])
    splits = load_splits(data)
    if record.get("data_sha256") != splits.sha256:
        raise CheckpointError(
            f"{folder}: trained on other data ({record.get('data_sha256')}), so no movement is known to be held out"
        )
    real, training = _real(config, splits, data), decode(splits["train"], data.canonical)
    weights = list[Tensor]()
    if isinstance(source, Generator):
        source = replace(source, on_weights=weights.append)
    with _running(progress, "sampling"):
        movements = generated(
            partial(source.sample_matching, seed=config.seed), source.canonical, real, training, config.n, config.seed
        )
    kept = ("kind", "weights_sha256", "data_sha256", "epoch", "step")
    origin = {"checkpoint": config.ckpt, **{key: record[key] for key in kept if key in record}}
    if isinstance(source, Generator):
        origin["sampling"] = plain(source.sampling)
        if source.selector is not None and weights:
            origin["selection"] = selection_account(source.selector, source.sampling, weights)
    return EvaluationInput(origin, data, splits, movements)


def with_sampling(source: MovementGenerator, config: EvalConfig) -> MovementGenerator:
    """Return the generator, a diffusion with the sampling of the configuration.

    Raises:
        ConfigError: A sampler is chosen for a generator that has none, or one that `Generator.sampling_with` refuses.
    """
    if isinstance(source, Generator):
        changes = replace(config.sampling, steps=config.steps or config.sampling.steps)
        return replace(source, sampling=source.sampling_with(changes))
    chosen = config.steps > 0 or config.sampling != SamplingChanges()
    require(not chosen, "the defaults of `steps` and `sampling` for a generator without a sampler", "others")
    return source


def of_file(config: EvalConfig, progress: Progress) -> EvaluationInput:
    """Read the movements of a file; where they name rows of the split, each is compared with its own.

    Raises:
        RecordingError: The file cannot be read.
        ConfigError: It names rows, but of another split or data set, or `val_split` takes the place of the split.
    """
    path, splits = Path("".join(config.samples)), load_splits(config.data)
    with _running(progress, "reading"):
        file = read_file(path)
    real, training = _real(config, splits, config.data), decode(splits["train"], config.data.canonical)
    form, chosen = config.data.canonical, (config.n, config.seed)
    if file.row_ids is None:
        movements = from_file(file, real, training, form, *chosen)
    else:
        law, remedy = "no `val_split` with a file whose row ids name a split", "leave val_split out"
        require(not config.val_split, law, f"val_split={config.val_split}", remedy)
        rows = rows_of(file.row_ids, config.split, splits.sha256, len(splits[config.split]), path)
        movements = matched(file, rows, real, training, form, *chosen)
    return EvaluationInput(origin_of(path, file), config.data, splits, movements)


def read_file(path: Path) -> Observed:
    """Read the movements of a file, or of a folder of movements that the service made.

    Raises:
        RecordingError, ConfigError, CheckpointError: It cannot be read.
    """
    if not path.is_dir():
        return read_movements(path)
    law, remedy = "`samples` to be a file, or a folder of platform.negatives", "give samples=FOLDER/samples.parquet"
    require((path / RECORD).exists(), law, f"the folder {path}", remedy)
    stored = read_served(path)
    movements = decode(stored.canonical, stored.form)
    requested = None if stored.requested is None else stored.requested.raw
    return Observed(movements, len(movements), {}, {}, requested, record=load_record(path))


def origin_of(path: Path, file: Observed) -> Numbers:
    """Return path and hash of a file, and what it says of its making."""
    made = {key: file.record[key] for key in MADE if file.record.get(key) is not None}
    sha256 = file_sha256(path / WEIGHTS if path.is_dir() else path)
    found: Numbers = {"samples": str(path), "sha256": sha256, "events_left_out": dict(file.events)}
    return {**found, **({"made": made} if made else {}), "paired": file.row_ids is not None}


def _real(config: EvalConfig, splits: DataSplits, data: DataConfig) -> Observed:
    return (
        read_movements(Path(config.val_split))
        if config.val_split
        else movements_of(splits, config.split, data.canonical)
    )


def _require_file(key: str, path: str) -> None:
    """Raise ConfigError for a folder where a file of movements is expected."""
    law = f"`{key}` to be a file ({', '.join(MOVEMENT_READERS)})"
    remedy = f"give {key}=FILE, or split=validation for the users of the data set"
    require(not Path(path or "-").is_dir(), law, f"the folder {path}", remedy)


@contextmanager
def _running(progress: Progress, description: str) -> Iterator[None]:
    """Show a progress bar of unknown length."""
    task = progress.add_task(description, total=None)
    yield
    progress.update(task, total=1, completed=1)


def _counts(side: str, evaluated: Canonical, movements: RealAndFake) -> Numbers:
    dropped = dict(movements.dropped[side])
    counts = {"read": movements.read[side], "evaluated": len(evaluated), "dropped": dropped}
    return {**counts, "users": len(set(evaluated.group))}


def _plot(comparison: Comparison, metrics: Numbers, folder: Path) -> list[str]:
    """Plot a gallery and the chosen metrics, and return the names of the files."""
    real, fake = comparison.real, comparison.fake
    by_name = {
        "gallery": lambda file: plots.plot_gallery(real, fake, file, paired=comparison.paired),
        "overlays": lambda file: plots.plot_overlays(real, fake, file),
        "spectra": lambda file: plots.plot_spectra(metrics["spectra"], file),
        "c2st": lambda file: plots.plot_probe_accuracy(metrics["c2st"], comparison.config.probes, file),
    }
    wanted = {"gallery": True, "overlays": "kinematics" in metrics, "spectra": "spectra" in metrics}
    names = [name for name in by_name if wanted.get(name, name in metrics)]
    for name in names:
        by_name[name](folder / f"{name}.png")
    return [f"{name}.png" for name in names]
