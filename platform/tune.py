"""`python -m platform.tune`: search the parameters of a trainable.

Ray Tune runs trials of a trainable under Ray Train, Optuna suggests their parameters and stores the results, ASHA
prunes unpromising ones. The same command on an existing study continues it until its budget of trials is reached.

What imports torch and Ray is imported by the functions that need it: `list`, `show` and `--help` start without them.
"""

import sys

import optuna
from rich.console import Console

from platform.report.browse import list_studies, show
from platform.report.compare_trials import compare
from platform.study.config import Sweep, TuneConfig
from platform.study.search_space import sweep_of
from platform.study.study import load_study
from search_spaces import SPACES
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import require
from trainables.specs import TRAINABLES, described

ABOUT = """
Search the parameters of a trainable by its metrics on held-out users.

  python -m platform.tune                                             the default sweep
  python -m platform.tune budget.trials=16 budget.time_limit=20m            a longer one
  python -m platform.tune trainable=detector                          of another trainable: gan, or detector
  python -m platform.tune trainable.epochs=12 scaling.num_workers=1   each trial in a Ray Train worker group
  python -m platform.tune trainable.model.base_channels=64            fix a key of the space
  python -m platform.tune 'trainable.optim.lr=tag(log,interval(1e-4,3e-3))'   search any key: interval, range, choice

  python -m platform.tune list                                        the studies with their trials and best results
  python -m platform.tune show study_name=wide trials=[3]             one study, or trials of it
  python -m platform.tune compare study_name=wide trials=[3,5]        parameters and metrics of trials side by side
  python -m platform.tune report study_name=wide                      write its report.html
  python -m platform.tune reproduce study_name=wide trials=[3]        train trials again and compare

The same command again continues the study; another study_name starts a new one.
"""

PLAN = "--plan"

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
    implied={f"space={name}": f"trainable={space.trainable}" for name, space in SPACES.items()},
    switches={PLAN: "print trials, expected time and disk, and start nothing"},
    verbs={
        "list": "the studies below storage_path",
        "show": "a study, or those of its trials that are named",
        "compare": "trials side by side",
        "report": "write report.html of a study",
        "reproduce": "train trials again and compare their metrics",
    },
    refused={
        "reproduce=": "`{argument}` was renamed: use python -m platform.tune reproduce trials=[{value}]",
        "space=ranking": "`{argument}` was renamed: use space=diffusion_ranking_loss",
    },
)


def main(request: Request) -> int:
    """Plan, run and summarise one sweep; returns the exit code (1 if no trial has a result)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = Console()
    sweep = sweep_of(request)
    if request.verb:
        return _run_verb(console, sweep, request)
    from platform.sweep.command import run_sweep

    return run_sweep(console, sweep, plan_only=PLAN in request.switches)


def _run_verb(console: Console, sweep: Sweep, request: Request) -> int:
    """Do what a verb asks for; `reproduce` trains, `report` writes, and the others only read."""
    settings, trials, verb = sweep.settings, sweep.settings.trials, request.verb
    if verb == "list":
        return list_studies(console, settings.folder.parent, settings.storage)
    study = load_study(settings.folder.parent, settings.study_name, settings.storage)
    if verb == "compare":
        return compare(console, study, settings.folder, trials)
    if verb == "report":
        from platform.report.html import write_report

        console.print(str(write_report(study, settings.folder)), highlight=False, soft_wrap=True)
        return 0
    if verb == "reproduce":
        from platform.sweep.reproduce import reproduce

        require(bool(trials), "`trials` to name what to reproduce", "none", "add trials=[3]")
        return max(reproduce(console, sweep, study, trial, request.given) for trial in trials)
    return max(show(console, study, settings.folder, trial) for trial in trials or (None,))


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
