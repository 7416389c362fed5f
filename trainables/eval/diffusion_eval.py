"""`python -m trainables.eval.diffusion_eval`: evaluate a generator's checkpoint, or a file of samples made elsewhere.

    python -m trainables.eval.diffusion_eval ckpt=results/... metrics=[c2st,mmd,prd,kinematics,spectra]
    python -m trainables.eval.diffusion_eval samples=generated/samples.parquet split=test

A checkpoint makes one sample per held-out movement under that movement's conditions, as in its training; a file has its
own movements, which may name the held-out movements that they were made for (`python -m platform.data conditions`).
Both then pass the same steps as recordings. Writes `report.json` and plots into `out_dir`, for a checkpoint a card as
well; several files (samples=[A,B]) are compared in one table and one report. With crossfit=5 five models are trained,
each without the users of one fold, and every user is evaluated once (`trainables.model_evaluation.crossfit`).

The holdout split is refused: it is reserved for the promotion, which counts its evaluations in a ledger.

What imports torch is imported when the work begins, so that `--help` starts without it.
"""

import sys

from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import ConfigError, build
from trainables.model_evaluation.config import EvalConfig

COMMAND = Command(
    module="trainables.eval.diffusion_eval",
    config_name="diffusion/eval",
    about="Evaluate a checkpoint, or movements made elsewhere, on held-out users:\n\n"
    "  python -m trainables.eval.diffusion_eval ckpt=FOLDER metrics=[c2st,mmd,prd,kinematics,spectra]\n"
    "  python -m trainables.eval.diffusion_eval samples=FILE.parquet split=test\n"
    "  python -m trainables.eval.diffusion_eval samples=[A.parquet,B.parquet] split=test",
    schemas={"diffusion/eval_schema": EvalConfig},
)


def main(request: Request) -> int:
    """Evaluate, write the report and the plots, and print the key metrics."""
    samples = request.config["samples"]
    given = [samples] if isinstance(samples, str) and samples else samples or []  # one file, or a list of them
    config = build(EvalConfig, {**request.config, "samples": given})
    if config.ckpt and (own := [key for key in request.given if key.startswith("data.")]):
        raise ConfigError(f"expected no data keys with `ckpt`, but got {own[0]}; set val_split=FILE for other users")
    if config.crossfit:
        from trainables.model_evaluation.crossfit import write_crossfit

        return write_crossfit(config)
    if config.leave_one_source_out:
        from trainables.model_evaluation.leave_one_source_out import leave_one_source_out

        return leave_one_source_out(config)
    if len(config.samples) > 1:
        from trainables.model_evaluation.compare_files import write_comparison

        return write_comparison(config)
    from trainables.model_evaluation.evaluate_generator import write_report

    return write_report(config)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
