"""Fit the selector of a checkpoint and write it into its folder."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as ProgressBars
from rich.table import Table

from platform.core.console import columns, print_line, print_table
from platform.core.selector_config import SelectorConfig
from trainables.core.config import build, plain
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator
from trainables.generation.selection.fit import Progress, SecondRound, fit_selector, planned_samples
from trainables.generation.selection.selector import SECOND_ROUND, Selector
from trainables.models import load_generator
from trainables.training.checkpoint_record import SELECTOR, CheckpointError, load_record, require_same_data


def fit_to_checkpoint(config: SelectorConfig) -> int:
    """Fit, write, and print what was found; returns the exit code.

    Raises:
        ConfigError, CheckpointError: The checkpoint, its data or a source cannot be used.
    """
    console, folder = Console(), Path(config.ckpt).expanduser()
    record = load_record(folder)  # its faults come first
    if (folder / SELECTOR).exists() and not config.replace:
        raise CheckpointError(f"{folder / SELECTOR}: exists already; give replace=true to fit it again")
    model, kind = load_generator(folder, config.device), record.get("kind")
    law, remedy = "the checkpoint of a diffusion, which has settings of a sampler", "name another checkpoint"
    if not isinstance(model, Generator):
        raise CheckpointError(f"{folder}: expected {law}, but got {kind}; {remedy}")
    splits = load_splits(build(DataConfig, record["config"]["data"]))
    require_same_data(folder, record, splits.sha256)
    sampling = model.sampling_with(config.sampling)
    sources = config.source_names or tuple(sorted(set(splits["validation"].source)))
    made_with = {
        "generator_sha256": record["weights_sha256"],
        "data_sha256": splits.sha256,
        "sampling": plain(sampling),
    }
    single = replace(model, sampling=sampling)
    candidates = config.round_candidates if config.rounds > 1 else 0
    second = SecondRound(candidates, partial(selecting, single, candidates)) if candidates else None
    with ProgressBars(console=console, transient=True) as bars:
        samples = bars.add_task("sampling", total=planned_samples(splits["train"], sources, config.ratio, candidates))
        folds = bars.add_task("fitting", total=config.ratio.folds * len(sources) * config.rounds)
        progress = Progress(lambda count: bars.advance(samples, count), lambda: bars.advance(folds))
        selector = fit_selector(single, splits["train"], sources, config.ratio, made_with, progress, second)
    written = selector.save(folder, replace=config.replace)
    print_table(console, account(selector))
    print_line(console, f"selector: {written.resolve()}")
    return 0


def selecting(single: Generator, candidates: int, selector: Selector) -> Generator:
    """Return the generator that draws each sample from so many candidates by a selector of its own sampling."""
    return replace(single, selector=selector, sampling=replace(single.sampling, candidates=candidates))


def account(selector: Selector) -> Table:
    """Return what the ratio of each source rests on, and how well it parts samples from movements of unseen users."""
    second = [">AUC of selected samples"] if selector.rounds > 1 else []
    table = columns("source", ">users", ">movements", ">samples", ">AUC on users outside of the fit", *second)
    for source, found in selector.record["fitted"].items():
        counts = (f"{found[key]:,}" for key in ("users", "movements", "samples"))
        rounds = [found, found[SECOND_ROUND]] if selector.rounds > 1 else [found]
        table.add_row(source, *counts, *(f"{each['auc_of_unseen_users']:.3f}" for each in rounds))
    return table
