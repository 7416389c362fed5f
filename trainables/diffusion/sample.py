"""`python -m trainables.diffusion.sample`: movements from a checkpoint, as files.

    python -m trainables.diffusion.sample ckpt=results/... n=2000 steps=20 seq_len=64 out_dir=generated
    python -m trainables.diffusion.sample ckpt=results/... sampler=dpmpp_2m spacing=log_snr steps=8 format=[parquet]
    python -m trainables.diffusion.sample ckpt=results/... n=500 cond=conditions.npy
    python -m trainables.diffusion.sample ckpt=results/... cond=conditions.parquet

Writes `samples.npy` (standardised canonical deltas, float32 [n, seq_len, C]) with the conditions, directions and masks
beside it, `samples.parquet` (one row per movement: t_ms, x and y as lists in pixels, which the data reader takes, and
the conditions) and `samples.json` (statistics, form, checkpoint, data, seed, settings): see `trainables.data.samples`.

What imports torch is imported when the work begins, so that `--help` starts without it.
"""

import sys

from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.diffusion.sampling_config import SampleConfig

COMMAND = Command(
    module="trainables.diffusion.sample",
    config_name="diffusion/sample",
    about="Sample movements from a checkpoint:\n\n  python -m trainables.diffusion.sample ckpt=FOLDER n=2000",
    schemas={"diffusion/sample_schema": SampleConfig},
)


def main(request: Request) -> int:
    """Sample, write the movements, and print the folder."""
    config = build(SampleConfig, request.config)
    from trainables.diffusion.sample_run import sample

    return sample(config)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
