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
from trainables.data.canonical import Movements, decode, with_deltas
from trainables.data.config import CanonicalConfig
from trainables.diffusion.api import Conditions, Generator, load_generator
from trainables.diffusion.sample_files import SampleFiles
from trainables.diffusion.sampling import sampling_times
from trainables.diffusion.sampling_config import SampleConfig
from trainables.generation.blocks import WINDOW
from trainables.training.checkpoint import load_record


def sample(config: SampleConfig) -> int:
    """Sample, write the movements, and print the folder."""
    require(bool(config.ckpt), "`ckpt` to be a checkpoint folder", "ckpt=''")
    source = load_generator(Path(config.ckpt), config.device).of_source(config.source)
    canonical = source.canonical_at(config.seq_len or source.canonical.sequence_length)
    conditions = _conditions(config, source, canonical)
    source = replace(source, sampling=config.changes.over(source.sampling))
    sampling_times(source.sampling, source.schedule, source.prediction)  # its law before anything is written
    folder, shape = Path(config.out_dir), (config.n, canonical.sequence_length, canonical.form.channels)
    with SampleFiles(folder, config.format, shape, _record(config, source)) as files, Progress() as progress:
        task = progress.add_task("sampling", total=config.n)
        for z, movements in sampled(source, conditions, canonical, config):
            files.write(z, movements)
            progress.advance(task, len(z))
    Console().print(f"{config.n} movements in {folder.resolve()}", highlight=False, soft_wrap=True)
    return 0


def sampled(
    source: Generator, conditions: Conditions, canonical: CanonicalConfig, config: SampleConfig
) -> Iterator[tuple[Float[Tensor, "M T C"], Movements]]:
    """Samples and their movements in pixels, a window at a time; only one window is in memory."""
    for rows in torch.arange(len(conditions)).split(WINDOW):
        window = conditions.take(rows)
        frame = window.frame(canonical)
        (z,) = source.stream(window, frame, seed=config.seed, first=int(rows[0]))
        yield z, decode(with_deltas(frame, source.statistics.denormalise(z, frame)), canonical)


def _conditions(config: SampleConfig, source: Generator, canonical: CanonicalConfig) -> Conditions:
    """Return the conditions of the file, or drawn ones; all are checked before the first sample."""
    if config.cond:
        conditions = source.given_conditions(read_conditions(Path(config.cond)), config.n, config.seed)
    else:
        conditions = source.draw_conditions(config.n, config.seed, canonical.sequence_length)
    conditions.check(canonical)
    return conditions


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


def _record(config: SampleConfig, source: Generator) -> dict[str, Any]:
    return {
        "provenance": "synthetic",
        "config": plain(config),
        "sampling": plain(source.sampling),
        "weights_sha256": load_record(Path(config.ckpt))["weights_sha256"],
        "canonical": plain(source.canonical),
    }
