"""Training data of the arms of `benchmarks.hard_negatives`: a GAN, a diffusion, and movements of the service.

Everything is made once, in a folder, and reused by the same command later; an interrupted training is resumed after its
last epoch. A folder that was made with other settings is an error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as Bar

from benchmarks.support.service import ONE, publish, service
from platform.core.fetch_negatives import fetch
from platform.core.negatives_config import NegativesConfig
from serve.client import HardNegatives
from serve.patience import ServiceError
from trainables.core.config import require
from trainables.core.seeding import derive
from trainables.data.balance import generated_count
from trainables.data.splits.loading import load_splits
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.negative_sources import weights_of
from trainables.detector.dataset.served_negatives import NotServedError, ServedMovements, read_served, write_served
from trainables.detector.spec import DETECTOR
from trainables.metric_registry import METRIC_SETS
from trainables.specs import TRAINABLES
from trainables.training.progress import Progress
from trainables.training.run_folder import Line, RunFolder, remaining_epochs

STORAGE = "storage"  # folder of the registries and of the batch store of the service


@dataclass(frozen=True)
class Sources:
    """Checkpoints of the generators, and the folder of hard negatives with what it holds."""

    gan: Path
    diffusion: Path
    served: Path
    hard: ServedMovements

    @property
    def hard_share(self) -> float:
        """Share of the scanned samples of the champion whose detector score lies in `hardness`."""
        return len(self.hard.canonical) / int(self.hard.request["looked_through"])


def trained(kind: str, config: Any, folder: Path, show: Callable[[Line], object] = lambda line: None) -> RunFolder:
    """Train, or resume a run, up to its last epoch.

    Raises:
        ConfigError: the folder holds another run.
    """
    spec = TRAINABLES[kind]
    for line in remaining_epochs(folder, spec, config):
        show(line)
    return RunFolder(folder, spec.metrics.epoch_order)


def trained_with_progress(kind: str, config: Any, folder: Path, console: Console) -> RunFolder:
    """Train with a progress display."""
    console.print(f"[bold]{folder.name}[/bold]: {config.epochs} epochs")
    metric_set = METRIC_SETS[kind]
    with Progress(console, RunFolder(folder, metric_set.epoch_order), config.epochs, metric_set) as progress:
        return trained(kind, config, folder, progress)


def checkpoint_of(kind: str, given: str, config: Any, folder: Path, console: Console) -> Path:
    """Return the given checkpoint, or the best one of a training in `folder`.

    Raises:
        CheckpointError: the given one is of another kind.
    """
    if given:
        weights_of(kind, Path(given).expanduser())
        return Path(given).expanduser().resolve()
    best = trained_with_progress(kind, config, folder / kind, console).best
    assert best is not None
    return best


def published_detector(config: DetectorConfig, folder: Path, console: Console) -> Path:
    """Train a detector like those of the first arm, with a seed that no arm has; return its last checkpoint."""
    last = trained_with_progress(
        "detector", replace(config, seed=derive(config.seed, "published") >> 10), folder, console
    ).last
    assert last is not None
    return last


def hard_negatives(
    diffusion: Path, hardness: tuple[float, ...], config: DetectorConfig, folder: Path, console: Console
) -> ServedMovements:
    """Return as many samples of the served diffusion with a score in `hardness` as a training has bots.

    Raises:
        NotServedError: too few samples have such a score, or the service does not respond.
        ConfigError: the folder holds samples of another champion or hardness.
    """
    place = folder / "served"
    if not place.exists():
        write_served(_fetched(diffusion, hardness, config, folder, console), place)
    stored = read_served(place)
    found = (stored.model_sha256, stored.request["hardness"])
    wanted = (weights_of("diffusion", diffusion), [*hardness])
    got, law = (f"{weights[:12]}, hardness {pair}" for weights, pair in (found, wanted))
    require(found == wanted, f"`{place}` to hold movements of {law}", got, "use another out_dir")
    return stored


def _fetched(
    diffusion: Path, hardness: tuple[float, ...], config: DetectorConfig, folder: Path, console: Console
) -> ServedMovements:
    detector = published_detector(config, folder / "published", console)
    publish(folder / STORAGE, diffusion)
    publish(folder / STORAGE, detector, DETECTOR.registry)
    count = generated_count(len(load_splits(config.data)["train"]), config.negatives.alpha or 1.0)
    console.print(f"[bold]served[/bold]: {count} movements with a score in {list(hardness)}", highlight=False)
    with service(folder / STORAGE, *ONE) as running, fetching(console, count) as advance:
        options = NegativesConfig(running.url, str(folder), count, config.seed, hardness=hardness, data=config.data)
        try:
            return fetch(HardNegatives(options.url, timeout_s=options.timeout_s), options, advance)
        except ServiceError as error:
            raise NotServedError(error.line) from None


@contextmanager
def fetching(console: Console, count: int) -> Iterator[Callable[[int], object]]:
    """Yield a function that advances a progress bar by a number of movements."""
    with Bar(console=console, transient=True) as progress:
        bar = progress.add_task("fetching", total=count)
        yield lambda n: progress.advance(bar, n)
