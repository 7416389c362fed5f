"""Former name of `python -m platform.evaluate` for a detector; ends with one line that names it."""

import sys

from trainables.core.cli import WRONG_INPUT

REFUSAL = "error: `trainables.detector.judge` was renamed: use python -m platform.evaluate ckpt=FOLDER"


def main() -> int:
    """Print the present command; returns the exit code for wrong input."""
    sys.stderr.write(f"{REFUSAL}\n")
    return WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
