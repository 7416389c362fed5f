"""Verbs of `python -m platform.tune`: search without a verb, read studies, write a report, reproduce trials.

What imports torch and Ray is imported by the verbs that need it: `list`, `show` and `compare` start without them.
"""

from collections.abc import Callable

import optuna
from rich.console import Console

from platform.report.browse import list_studies, show
from platform.report.compare_trials import compare
from platform.study.config import PLAN, TuneConfig
from platform.study.study import load_study
from trainables.core.command import Request
from trainables.core.config import build, require
from trainables.specs import TRAINABLES


def run_verb(settings: TuneConfig, request: Request) -> int:
    """Do what the verb of a command line says; returns the exit code.

    Raises:
        ConfigError: a value of the trainable is wrong, also beside a verb that needs none.
    """
    build(TRAINABLES[request.choices["trainable"]].config, request.config["trainable"], at="trainable")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return VERBS[request.verb](settings, request)


def search(settings: TuneConfig, request: Request) -> int:
    """Plan, run and summarise one sweep, or search sampling settings; returns the exit code (1 without a result)."""
    if settings.stage == "sampling":
        from platform.sweep.sampling_stage import search_sampling

        return search_sampling(Console(), settings)
    from platform.study.search_space import sweep_of
    from platform.sweep.command import run_sweep

    return run_sweep(Console(), sweep_of(request), plan_only=PLAN in request.switches)


def list_all(settings: TuneConfig, request: Request) -> int:
    """List the studies of the storage path."""
    return list_studies(Console(), settings.folder.parent, settings.storage)


def show_study(settings: TuneConfig, request: Request) -> int:
    """Show the study, or those of its trials that are named."""
    console, study = Console(), study_of(settings)
    return max(show(console, study, settings.folder, trial) for trial in settings.trials or (None,))


def compare_trials(settings: TuneConfig, request: Request) -> int:
    """Show trials of the study side by side."""
    return compare(Console(), study_of(settings), settings.folder, settings.trials)


def report(settings: TuneConfig, request: Request) -> int:
    """Write the report of the study, and print its path."""
    from platform.report.html import write_report

    Console().print(str(write_report(study_of(settings), settings.folder)), highlight=False, soft_wrap=True)
    return 0


def export_trials(settings: TuneConfig, request: Request) -> int:
    """Write the trials of the study as CSV and Parquet, and print their paths."""
    from platform.report.export import export

    return export(Console(), study_of(settings), settings.folder)


def reproduce_trials(settings: TuneConfig, request: Request) -> int:
    """Train trials of the study again and compare their metrics."""
    from platform.study.search_space import sweep_of
    from platform.sweep.reproduce import reproduce

    require(bool(settings.trials), "`trials` to name what to reproduce", "none", "add trials=[3]")
    console, sweep, study = Console(), sweep_of(request), study_of(settings)
    return max(reproduce(console, sweep, study, trial, request.given) for trial in settings.trials)


def study_of(settings: TuneConfig) -> optuna.Study:
    """Load the study of the settings."""
    return load_study(settings.folder.parent, settings.study_name, settings.storage)


VERBS: dict[str, Callable[[TuneConfig, Request], int]] = {
    "": search,
    "list": list_all,
    "show": show_study,
    "compare": compare_trials,
    "report": report,
    "export": export_trials,
    "reproduce": reproduce_trials,
}
"""Verb, empty where there is none -> what does it and returns the exit code."""
