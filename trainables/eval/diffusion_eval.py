"""`python -m trainables.eval.diffusion_eval`: D-Eval of a checkpoint, or of a file of samples made elsewhere.

    python -m trainables.eval.diffusion_eval ckpt=results/... metrics=[c2st,mmd,prd,kinematics,spectra]
    python -m trainables.eval.diffusion_eval samples=generated/samples.parquet split=test

A checkpoint makes one sample per held-out movement under that movement's conditions, as its training judged it; a file
brings its own. Both then pass the chain that recordings pass. Writes `report.json` and pictures into `out_dir`.

The holdout split is refused: each look at it wears it out, so it is kept for the promotion, which keeps a ledger.
"""

import sys

from trainables.core.cli import run
from trainables.model_evaluation.evaluate_generator import COMMAND, main

if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
