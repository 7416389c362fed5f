"""`python -m trainables.eval.diffusion_eval`: evaluate a generator's checkpoint, or a file of samples made elsewhere.

    python -m trainables.eval.diffusion_eval ckpt=results/... metrics=[c2st,mmd,prd,kinematics,spectra]
    python -m trainables.eval.diffusion_eval samples=generated/samples.parquet split=test

A checkpoint makes one sample per held-out movement under that movement's conditions, as in its training; a file has its
own movements. Both then pass the same steps as recordings. Writes `report.json` and plots into `out_dir`.

The holdout split is refused: it is reserved for the promotion, which counts its evaluations in a ledger.
"""

import sys

from trainables.core.cli import run
from trainables.model_evaluation.evaluate_generator import COMMAND, main

if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
