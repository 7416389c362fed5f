"""Evaluate a configuration on all users: one model per fold of users, trained on the others.

An interval over users is as wide as the users of one split are few. Here the users outside of the holdout split are
divided into K folds (`trainables.data.folds`). A model per fold is trained from the start on the others, and its
samples are compared with the users of its fold, so that every user is evaluated once, by a model that knows nothing of
them. A fold has the configuration of the checkpoint and as many epochs; it never stops early, and nothing is chosen on
its users. Its floor is that of its own training users.

    OUT_DIR/crossfit.json           the figures, and the users of each fold
    OUT_DIR/crossfit/fold-1/        the training run of a fold, as `platform.train` writes it, and its evaluation.json

The same command resumes after the last epoch of the fold in which it was interrupted.
"""

import json
from pathlib import Path

from rich.console import Console

from trainables.core.atomic_files import write_atomically
from trainables.detector.evaluation.tables import show
from trainables.model_evaluation.config import EvalConfig
from trainables.model_evaluation.crossfit_plan import Crossfit, FoldRun, plan, plan_lines
from trainables.model_evaluation.crossfit_report import report, tables
from trainables.model_evaluation.reevaluate import evaluate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import load_record
from trainables.training.progress import Progress
from trainables.training.run_folder import remaining_epochs

REPORT, EVALUATION = "crossfit.json", "evaluation.json"


def write_crossfit(config: EvalConfig) -> int:
    """Train and evaluate every fold, write the report, and print the tables; returns the exit code.

    Raises:
        ConfigError: Too few users for the folds, or folds in `out_dir` of another configuration or other data.
        CheckpointError: The checkpoint cannot be used, or was trained on other data than the present ones.
    """
    console = Console()
    crossfit = plan(config)
    for line in plan_lines(crossfit):
        console.print(line, highlight=False, soft_wrap=True)
    results = []
    for run in crossfit.runs:
        train(run, crossfit, config.device, console)
        results.append(evaluated(run, config.seed))
    numbers = report(config, crossfit, results)
    path = Path(config.out_dir) / REPORT
    write_atomically(path, json.dumps(numbers, indent=1, sort_keys=True, allow_nan=False) + "\n")
    show(console, tables(crossfit, results))
    console.print(f"report: {path.resolve()}", highlight=False, soft_wrap=True)
    return 0


def train(run: FoldRun, crossfit: Crossfit, device: str, console: Console) -> None:
    """Train a fold from its last epoch to that of the checkpoint.

    Raises:
        ConfigError: Its folder cannot be written, is in use, or holds another run.
    """
    metric_set, count = crossfit.spec.metrics, len(run.users)
    heading = f"fold {run.fold}: {len(run.owners)} movements of {count} users are evaluated"
    console.print(heading, highlight=False, soft_wrap=True)
    with Progress(console, run.folder, crossfit.epochs, metric_set) as progress:
        for line in remaining_epochs(run.folder.path, crossfit.spec, run.config, crossfit.epochs, device):
            progress(line)


def evaluated(run: FoldRun, seed: int) -> EvaluationResult:
    """Return the evaluation of a trained fold; that in its folder if checkpoint, data, seed and code are the same."""
    checkpoint, file = run.folder.last, run.folder.path / EVALUATION
    assert checkpoint is not None
    if file.exists():
        found = EvaluationResult.from_json(json.loads(file.read_text()))
        same = found.checkpoint_sha256 == load_record(checkpoint)["weights_sha256"] and found.seeds == (seed,)
        if same and found.is_of_today and found.data_sha256 == run.data_sha256:
            return found
    result = evaluate(checkpoint, "validation", [seed])
    write_atomically(file, json.dumps(result.to_json(), indent=1) + "\n")
    return result
