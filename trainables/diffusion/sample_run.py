"""Sampling from a checkpoint into files, a window of movements at a time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from trainables.core.config import ConfigError, plain, require
from trainables.core.version import VERSION
from trainables.data.canonical import decode, with_deltas
from trainables.data.config import CONDITION_NAMES, CanonicalConfig
from trainables.data.evaluation_rows import SUFFIXES, read_evaluation_table
from trainables.data.samples import statistics_record
from trainables.data.splits.statistics import source_index
from trainables.diffusion.api import Conditions, Generator, load_generator
from trainables.diffusion.sample_files import SampleFiles, Window
from trainables.diffusion.sampling_config import SAMPLES, SampleConfig
from trainables.generation.blocks import WINDOW
from trainables.training.checkpoint import load_record


def sample(config: SampleConfig) -> int:
    """Sample, write the movements, and print the folder."""
    require(bool(config.ckpt), "`ckpt` to be a checkpoint folder", "ckpt=''")
    source = load_generator(Path(config.ckpt), config.device).of_source(config.source)
    canonical = source.canonical_at(config.seq_len or source.canonical.sequence_length)
    conditions, row_ids = _conditions(config, source, canonical)
    asked = conditions if row_ids else source.training_conditions  # not the drawn ones: more rows change no row
    source = replace(source, sampling=source.sampling_with(config.changes, config.quality, asked))
    source.require_selectable(conditions)  # before anything is written
    n = len(conditions)
    folder, shape = Path(config.out_dir), (n, canonical.sequence_length, canonical.form.channels)
    with SampleFiles(folder, config.format, shape, _record(config, source, canonical)) as files, Progress() as progress:
        task = progress.add_task("sampling", total=n)
        for window in sampled(source, conditions, canonical, config, row_ids):
            files.write(window)
            progress.advance(task, len(window))
    Console().print(f"{n} movements in {folder.resolve()}{_preset(config, source)}", highlight=False, soft_wrap=True)
    return 0


def sampled(
    source: Generator,
    conditions: Conditions,
    canonical: CanonicalConfig,
    config: SampleConfig,
    row_ids: tuple[str, ...] = (),
) -> Iterator[Window]:
    """Samples and their movements in pixels, a window at a time; only one window is in memory."""
    for rows in torch.arange(len(conditions)).split(WINDOW):
        window = conditions.take(rows)
        frame = window.frame(canonical)
        (z,) = source.stream(window, frame, seed=config.seed, first=int(rows[0]))
        movements = decode(with_deltas(frame, source.statistics.denormalise(z, frame)), canonical)
        yield Window(z, frame.mask, window, movements, row_ids[rows[0] : rows[-1] + 1])


def _conditions(
    config: SampleConfig, source: Generator, canonical: CanonicalConfig
) -> tuple[Conditions, tuple[str, ...]]:
    """Return the conditions of the file, or drawn ones, and the row ids of the file; all are checked before sampling.

    Raises:
        ConfigError: The file has another number of rows than `n`, or conditions that the model has none of.
    """
    path, row_ids, count = Path(config.cond), tuple[str, ...](), config.n
    if path.suffix.lower() in SUFFIXES:
        rows = read_evaluation_table(path)
        row_ids, sources = rows.row_ids, source.training_conditions.sources
        given = source.given_conditions(_without_unlearnt(rows.raw, source), count or len(rows), config.seed)
        # in the direction and of the source of the movement that is matched
        conditions = Conditions(given.raw, rows.angle, source_index(rows.source, sources), sources)
    elif config.cond:
        raw = read_conditions(path)
        conditions = source.given_conditions(raw, count or len(raw), config.seed)
    else:
        conditions = source.draw_conditions(count or SAMPLES, config.seed, canonical.sequence_length)
    conditions.check(canonical)
    return conditions, row_ids


def _without_unlearnt(raw: Float[Tensor, "N D"], source: Generator) -> Float[Tensor, "N D"]:
    """Return the conditions of movements without target widths where the model met none, as an evaluation does."""
    if source.training_conditions.tell_widths:
        return raw
    return torch.cat([raw[:, :-1], torch.full_like(raw[:, -1:], torch.nan)], dim=1)


def read_conditions(path: Path) -> Float[Tensor, "N D"]:
    """Raw conditions from a .npy file.

    Raises:
        ConfigError: no such file, not a whole .npy file, or not a table of floating-point numbers.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "damaged, or of another kind"
        raise ConfigError(f"cond={path}: not a readable .npy file ({reason})") from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f":
        got = f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else "an archive of arrays"
        raise ConfigError(f"cond={path}: expected a table [n, D] of floating-point numbers, but got {got}")
    return torch.from_numpy(values.astype(np.float64))


def _preset(config: SampleConfig, source: Generator) -> str:
    """Return what a preset came to, as text; empty without one."""
    steps, candidates = source.sampling.steps, source.sampling.candidates
    return f"; quality={config.quality}: steps={steps}, candidates={candidates}" if config.quality else ""


def _selector_of(source: Generator) -> str | None:
    """Return the hash of the selector that draws among the candidates; None where there is one of each."""
    chosen = source.selector if source.sampling.candidates > 1 else None
    return None if chosen is None else str(chosen.record["weights_sha256"])


def _record(config: SampleConfig, source: Generator, canonical: CanonicalConfig) -> dict[str, Any]:
    """Return what the files need to be read without the checkpoint, and what made them."""
    checkpoint = load_record(Path(config.ckpt))
    return {
        "provenance": "synthetic",
        "kind": checkpoint.get("kind"),
        "weights_sha256": checkpoint["weights_sha256"],
        "data_sha256": checkpoint.get("data_sha256"),
        "version": VERSION,
        "seed": config.seed,
        "config": plain(config),
        "sampling": plain(source.sampling),
        "selector_sha256": _selector_of(source),
        "canonical": plain(canonical),
        "condition_names": list(CONDITION_NAMES),
        "frame": source.statistics.frame,
        "statistics": statistics_record(source.statistics),
    }
