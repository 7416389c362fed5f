"""`python -m trainables.diffusion.sample`: movements from a checkpoint, as files.

    python -m trainables.diffusion.sample ckpt=results/... n=2000 steps=20 seq_len=64 out_dir=generated

Writes `samples.npy` (standardised canonical deltas, float32 [n, seq_len, 2]), `samples.parquet` (one row per movement:
t_ms, x and y as lists in pixels, which the data reader takes) and `samples.json` (checkpoint, seed, settings).
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console
from rich.progress import Progress

from trainables.checkpoint import load_record
from trainables.command import Command, Request, run
from trainables.config import build, plain, require
from trainables.data.canonical import RATE_HZ, CanonicalConfig, Movements, decode, with_deltas
from trainables.diffusion.api import Generator, load_generator


@dataclass(frozen=True)
class SampleConfig:
    """What to sample, and where to write it."""

    ckpt: str = ""  # checkpoint folder
    n: int = 1000
    steps: int = 20
    seq_len: int = 0  # 0: the trained length
    guidance: float = 1.0
    seed: int = 0
    device: str = "cpu"
    out_dir: str = "generated"

    def __post_init__(self) -> None:
        require(self.n >= 1, "`n >= 1`", f"n={self.n}")
        require(self.steps >= 1, "`steps >= 1`", f"steps={self.steps}")
        require(self.seq_len >= 0, "`seq_len >= 0`", f"seq_len={self.seq_len}")


COMMAND = Command(
    module="trainables.diffusion.sample",
    config_name="diffusion/sample",
    about="Sample movements from a checkpoint:\n\n  python -m trainables.diffusion.sample ckpt=FOLDER n=2000",
    schemas={"diffusion/sample_schema": plain(SampleConfig())},
)


def main(request: Request) -> int:
    """Sample, write, and say where."""
    config = build(SampleConfig, request.config)
    require(bool(config.ckpt), "`ckpt` names a checkpoint folder", "ckpt=''")
    source = load_generator(Path(config.ckpt), config.device)
    canonical = CanonicalConfig(source.canonical.representation, config.seq_len or source.canonical.sequence_length)
    conditions = source.draw_conditions(config.n, config.seed, canonical.sequence_length)
    frame = conditions.frame(canonical)
    chunks = []
    with Progress() as progress:
        task = progress.add_task("sampling", total=config.n)
        for chunk in source.stream(conditions, frame, seed=config.seed, steps=config.steps, guidance=config.guidance):
            chunks.append(chunk)
            progress.advance(task, len(chunk))
    z = torch.cat(chunks)
    movements = decode(with_deltas(frame, source.statistics.denormalise(z, frame)), canonical)
    _write(Path(config.out_dir), config, source, z, movements)
    Console().print(f"{config.n} movements in {Path(config.out_dir).resolve()}", highlight=False, soft_wrap=True)
    return 0


def _write(folder: Path, config: SampleConfig, source: Generator, z: torch.Tensor, movements: Movements) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "samples.npy", z.numpy())
    pq.write_table(movement_table(movements), folder / "samples.parquet")
    record = {
        "provenance": "synthetic",
        "config": plain(config),
        "weights_sha256": load_record(Path(config.ckpt))["weights_sha256"],
        "canonical": plain(source.canonical),
    }
    (folder / "samples.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def movement_table(movements: Movements) -> pa.Table:
    """One row per movement, as the table reader takes it: 60 Hz times and whole-pixel positions as lists."""
    rows = []
    for index, (steps, length) in enumerate(zip(movements.steps_px, movements.length.tolist(), strict=True)):
        path = torch.cat([torch.zeros(1, 2), steps[:length].cumsum(dim=0)]).tolist()
        rows.append(
            {
                "trajectory_id": index,
                "source": "synthetic",
                "user": movements.group[index],
                "session": "sampled",
                "t_ms": [step * 1000.0 / RATE_HZ for step in range(length + 1)],
                "x": [point[0] for point in path],
                "y": [point[1] for point in path],
            }
        )
    return pa.Table.from_pylist(rows)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
