"""`python -m platform.evaluate`: the evaluation of `trainables.eval.diffusion_eval`, as a command of the platform.

python -m platform.evaluate ckpt=FOLDER
python -m platform.evaluate samples=FILE.parquet split=test
"""

import sys
from dataclasses import replace

from trainables.core.cli import run
from trainables.model_evaluation import evaluate_generator

MODULE = "platform.evaluate"
COMMAND = replace(
    evaluate_generator.COMMAND,
    module=MODULE,
    about=evaluate_generator.COMMAND.about.replace(evaluate_generator.COMMAND.module, MODULE),
)

if __name__ == "__main__":
    sys.exit(run(COMMAND, evaluate_generator.main))
