"""`python -m platform.tune`: search the parameters of a trainable.

Ray Tune runs trials of a trainable under Ray Train, Optuna suggests their parameters and stores the results, ASHA
prunes unpromising ones. The same command on an existing study continues it until its budget of trials is reached.

What imports Optuna, torch and Ray is imported when it is needed: `--help` starts without them, and `list` and `show`
without torch and Ray.
"""

import sys

from platform.study.config import PLAN, SPACE_TRAINABLES, TuneConfig, settings_of
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.specs import TRAINABLES, described

ABOUT = """
Search the parameters of a trainable by its metrics on held-out users.

  python -m platform.tune                                             the default sweep
  python -m platform.tune budget=standard                             finalists and default trained anew; or overnight
  python -m platform.tune budget.trials=16 budget.time_limit=20m      a longer one
  python -m platform.tune trainable=detector                          gan, physical, cotraining, distill, critic, agent
  python -m platform.tune trainable.epochs=12 scaling.num_workers=1   each trial in a Ray Train worker group
  python -m platform.tune trainable.model.base_channels=64            fix a key of the space
  python -m platform.tune 'trainable.optim.lr=tag(log,interval(1e-4,3e-3))'   search any key: interval, range, choice

  python -m platform.tune list                                        the studies with their trials and best results
  python -m platform.tune show study_name=wide trials=[3]             one study, or trials of it
  python -m platform.tune compare study_name=wide trials=[3,5]        parameters and metrics of trials side by side
  python -m platform.tune report study_name=wide                      write its report.html
  python -m platform.tune export study_name=wide                      write its trials.csv and trials.parquet
  python -m platform.tune reproduce study_name=wide trials=[3]        train trials again and compare

The same command again continues the study; another study_name starts a new one.
"""

COMMAND = Command(
    module="platform.tune",
    config_name="tune",
    about=f"{ABOUT}\n{described()}\n",
    schemas={
        "tune_schema": TuneConfig,
        **{f"trainable/{name}_schema": trainable.config for name, trainable in TRAINABLES.items()},
    },
    sweeps=True,
    common=("study_name", "budget.trials", "budget.time_limit", "space", "storage_path", "trainable"),
    implied={f"space={space}": f"trainable={owner}" for space, owner in SPACE_TRAINABLES.items()},
    switches={PLAN: "print trials, expected time and disk, and start nothing"},
    verbs={
        "list": "the studies below storage_path",
        "show": "a study, or those of its trials that are named",
        "compare": "trials side by side",
        "report": "write report.html of a study",
        "export": "write the trials of a study as CSV and Parquet",
        "reproduce": "train trials again and compare their metrics",
    },
    refused={
        "reproduce=": "`{argument}` was renamed: use python -m platform.tune reproduce trials=[{value}]",
        "space=ranking": "`{argument}` was renamed: use space=diffusion_ranking_loss",
    },
)


def main(request: Request) -> int:
    """Search, or do what the verb says; returns the exit code (1 if no trial has a result)."""
    settings = settings_of(request)
    from platform.sweep.verbs import run_verb

    return run_verb(settings, request)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
