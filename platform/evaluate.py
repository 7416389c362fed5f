"""`python -m platform.evaluate`: the evaluation of `trainables.eval.diffusion_eval`, as a command of the platform.

python -m platform.evaluate ckpt=FOLDER
python -m platform.evaluate samples=FILE.parquet part=test
"""

import sys
from dataclasses import replace

from trainables.core.cli import run
from trainables.eval import diffusion_eval

MODULE = "platform.evaluate"
COMMAND = replace(
    diffusion_eval.COMMAND,
    module=MODULE,
    about=diffusion_eval.COMMAND.about.replace(diffusion_eval.COMMAND.module, MODULE),
)

if __name__ == "__main__":
    sys.exit(run(COMMAND, diffusion_eval.main))
