"""What the arms of `benchmarks.hard_negatives` learn from: a GAN, a diffusion, and movements of the service.

Everything is made once, in a folder, and found there by the same command later; a training that was cut goes on after
its last epoch. What is found and was made otherwise is an error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as Bar

from benchmarks.support.service import ONE, publish, service
from platform.negatives import NegativesConfig as Wanted
from platform.negatives import draw
from serve.client import HardNegatives
from serve.patience import ServiceError
from trainables.core.config import require
from trainables.core.seeding import derive
from trainables.data.balance import generated_count
from trainables.data.dataset import load_splits
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.negatives import weights_of
from trainables.detector.dataset.served_negatives import NotServedError, ServedMovements, read_served, write_served
from trainables.detector.spec import DETECTOR
from trainables.metric_registry import METRIC_SETS
from trainables.specs import TRAINABLES
from trainables.training.progress import Progress
from trainables.training.run_folder import Line, RunFolder, opened, recording

STORAGE = "storage"  # where champion and detector are published, and the service keeps its batches


@dataclass(frozen=True)
class Sources:
    """Checkpoints of the generators, and the folder of hard negatives with what it holds."""

    gan: Path
    diffusion: Path
    served: Path
    drawn: ServedMovements

    @property
    def taken_for_people(self) -> float:
        """Share of the champion's movements whose score lies in the asked hardness."""
        return len(self.drawn.canonical) / int(self.drawn.request["looked_through"])


def trained(kind: str, config: Any, folder: Path, show: Callable[[Line], object] = lambda line: None) -> RunFolder:
    """A training run that has reached its last epoch.

    Raises:
        ConfigError: the folder holds another run.
    """
    with opened(folder, kind, config, METRIC_SETS[kind].epoch_order) as run:
        if len(run.metrics()) <= config.epochs:  # the untrained one has a line, too
            with recording(run) as record:
                for epoch in TRAINABLES[kind].load().epochs(config, resume=run.last):
                    show(record(epoch))
    return run


def shown(kind: str, config: Any, folder: Path, console: Console) -> RunFolder:
    """The same, told epoch by epoch."""
    console.print(f"[bold]{folder.name}[/bold]: {config.epochs} epochs")
    metric_set = METRIC_SETS[kind]
    with Progress(console, RunFolder(folder, metric_set.epoch_order), config.epochs, metric_set) as progress:
        return trained(kind, config, folder, progress)


def checkpoint_of(kind: str, given: str, config: Any, folder: Path, console: Console) -> Path:
    """The given checkpoint, or the best one of a training here.

    Raises:
        CheckpointError: the given one is of another kind.
    """
    if given:
        weights_of(kind, Path(given).expanduser())
        return Path(given).expanduser().resolve()
    best = shown(kind, config, folder / kind, console).best
    assert best is not None
    return best


def published_detector(config: DetectorConfig, folder: Path, console: Console) -> Path:
    """A detector like those of the simple arm, of a seed that no arm has."""
    last = shown("detector", replace(config, seed=derive(config.seed, "published") >> 10), folder, console).last
    assert last is not None
    return last


def hard_negatives(
    diffusion: Path, hardness: tuple[float, ...], config: DetectorConfig, folder: Path, console: Console
) -> ServedMovements:
    """As many movements of the served diffusion as a training has bots, whose score lies in `hardness`.

    Raises:
        NotServedError: too few samples have such a score, or the service stays away.
        ConfigError: the folder holds those of another champion or hardness.
    """
    place = folder / "served"
    if not place.exists():
        write_served(_drawn(diffusion, hardness, config, folder, console), place)
    kept = read_served(place)
    found = (kept.model_sha256, kept.request["hardness"])
    wanted = (weights_of("diffusion", diffusion), [*hardness])
    told, law = (f"{weights[:12]}, hardness {pair}" for weights, pair in (found, wanted))
    require(found == wanted, f"`{place}` to hold movements of {law}", told, "take another out_dir")
    return kept


def _drawn(
    diffusion: Path, hardness: tuple[float, ...], config: DetectorConfig, folder: Path, console: Console
) -> ServedMovements:
    detector = published_detector(config, folder / "published", console)
    publish(folder / STORAGE, diffusion)
    publish(folder / STORAGE, detector, DETECTOR.registry)
    count = generated_count(len(load_splits(config.data)["train"]), config.negatives.alpha or 1.0)
    console.print(f"[bold]served[/bold]: {count} movements with a score in {[*hardness]}")
    with service(folder / STORAGE, *ONE) as running, drawing(console, count) as advance:
        wanted = Wanted(running.url, str(folder), count, config.seed, hardness=hardness, data=config.data)
        try:
            return draw(HardNegatives(wanted.url, timeout_s=wanted.timeout_s), wanted, advance)
        except ServiceError as error:
            raise NotServedError(error.line) from None


@contextmanager
def drawing(console: Console, count: int) -> Iterator[Callable[[int], object]]:
    """A bar that is told how many came."""
    with Bar(console=console, transient=True) as progress:
        bar = progress.add_task("drawing", total=count)
        yield lambda n: progress.advance(bar, n)
