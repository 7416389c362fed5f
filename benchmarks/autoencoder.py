"""Reconstruction error of the temporal autoencoder of latent diffusion on validation movements.

Errors are those of movements in whole pixels, after decoding and re-observation; the accuracy of the default probe
between movements and reconstructions bounds what any diffusion in that space can reach.

`python -m benchmarks.autoencoder --channels 8 16`
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from trainables.data.config import DataConfig
from trainables.data.dataset import SequenceDataset
from trainables.data.splits.loading import load_splits
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.latents.fit import fit_autoencoder
from trainables.diffusion.latents.reconstruction import reconstruction_report


def measure(channels: int, seed: int) -> dict[str, float]:
    """Fit on the training split, reconstruct the validation split; return the errors."""
    config = DataConfig()
    splits, began = load_splits(config), time.perf_counter()
    latent = LatentConfig(enabled=True, channels=channels)
    autoencoder = fit_autoencoder(SequenceDataset(splits["train"], splits.statistics), latent, seed)
    fitted_s = time.perf_counter() - began
    report = reconstruction_report(autoencoder, splits["validation"], splits.statistics, config.canonical)
    return {"channels": channels, "fit s": fitted_s, **report}


def table(rows: list[dict[str, float]]) -> str:
    """Return a table with one line per metric and one column per number of channels."""
    return "\n".join(f"{name:<28}" + "".join(f"{row[name]:>12.4g}" for row in rows) for name in rows[0])


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--channels", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    rows = [measure(channels, given.seed) for channels in given.channels]
    print(table(rows))
    if given.output:
        given.output.write_text(json.dumps({"torch": torch.__version__, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
