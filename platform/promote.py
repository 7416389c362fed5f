"""`python -m platform.promote`: a challenger becomes champion if it passes a paired test and all limits.

Both are evaluated on users that neither has seen (test and holdout split together; evaluations of the latter are
counted), on the same movements, conditions and noise, which is new in every decision, or against the same bots; the
rule is `platform.promotion.rule`. Generators and detectors have champions of their own. The decision is recorded with
its data and metrics in either case: in the registry's history where the challenger is promoted, else among its
refusals. What imports torch is imported when the work begins, so that `--help` starts without it.
"""

import sys

from rich.console import Console

from platform.promotion.config import REFUSED, PromoteConfig
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build

ABOUT = """
Test a challenger against the champion, and publish it if it passes.

  python -m platform.promote                              the first of the study's leaderboard
  python -m platform.promote study_name=wide trial=12     another trial of a leaderboard
  python -m platform.promote study_name=detector          a detector, among the detectors
  python -m platform.promote ckpt=FOLDER split=validation  any checkpoint, without a holdout evaluation
  python -m platform.promote list registry=registry-detector   all champions among the detectors
"""


COMMAND = Command(
    module="platform.promote",
    config_name="promote",
    about=ABOUT,
    common=("study_name", "trial", "ckpt", "storage_path", "registry"),
    schemas={"promote_schema": PromoteConfig},
    exit_codes={0: "promoted, rolled back or listed", REFUSED: "refused, which is no error"},
    verbs={
        "list": "all champions in order with their metrics, the alpha budget, and the latest refusals",
        "rollback": "restore the previous champion",
    },
)


def main(request: Request) -> int:
    """Decide, list or roll back."""
    config = build(PromoteConfig, request.config)
    from platform.promotion.command import VERBS

    return VERBS[request.verb](Console(), config)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
