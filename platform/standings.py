"""The tables that end a sweep: the ranking as the search saw it, the leaderboard, and what its first row is worth."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from platform.leaderboard import Leaderboard, Reference, Repeats, Row, intervals
from platform.objectives import Goal
from platform.progress import describe
from platform.promotion import CHANCE
from platform.ranking import Ranked
from platform.records import WORDS
from platform.terminal import columns
from trainables.eval.clustered import Interval
from trainables.names import VAL_C2ST, VAL_C2ST_EXCESS, VAL_MMD
from trainables.progress import number

SHOWN = 10
BELOW = {VAL_C2ST_EXCESS: CHANCE, VAL_C2ST: 0.0}  # what the metrics of rungs that tell the C2ST lack of it


def print_failures(console: Console, ranked: Sequence[Ranked]) -> None:
    """Why trials failed, a line each."""
    for trial in ranked:
        if trial.state == "FAIL":
            console.print(f"trial {trial.number} failed: {trial.reason}", style="red", highlight=False)


def print_ranking(console: Console, trials: Sequence[Ranked]) -> None:
    """Trials by what the search knows of them."""
    titles = (">rank", ">trial", ">epochs", ">C2ST", ">MMD", ">ended", "~parameters")
    table = columns(*titles, title="Ranking, as the search saw it")
    for rank, trial in enumerate(trials[:SHOWN], start=1):
        c2st, mmd = (number(trial.metrics.get(name), digits) for name, digits in ((VAL_C2ST, 3), (VAL_MMD, 4)))
        ended = WORDS[trial.state]
        table.add_row(str(rank), str(trial.number), str(trial.epoch), c2st, mmd, ended, describe(dict(trial.params)))
    console.print(table)


def print_leaderboard(console: Console, board: Leaderboard) -> None:
    """The finalists with their intervals; what could not be judged or was refused, with the reason."""
    if board.rows:
        console.print(_leaderboard(board))
        asked = f"{board.looks} of its {board.budget} looks have been taken"
        console.print(f"P(best): probability of the best {board.by}; holdout part: {asked}", highlight=False)
    for row in board.rows:
        if row.repeats is not None:
            console.print(f"trial {row.trial.number} {_repeats(row.repeats)}", highlight=False, soft_wrap=True)
    for trial, reason in board.left_out.items():
        console.print(f"trial {trial} could not be judged: {reason}", style="red", highlight=False, soft_wrap=True)
    if board.refused:
        console.print(f"no look at the holdout part: {board.refused}", style="yellow", highlight=False, soft_wrap=True)


def _leaderboard(board: Leaderboard) -> Table:
    title = f"Leaderboard on {len(board.seeds)} fresh draws of noise, with 95 % intervals over people"
    table = columns(">rank", ">trial", ">C2ST", ">MMD", ">C2ST on holdout", ">P(best)", title=title)
    for rank, row in enumerate(board.rows, start=1):
        table.add_row(str(rank), str(row.trial.number), *_figures(row), style="bold" if rank == 1 else None)
    return table


def _figures(row: Row) -> tuple[str, ...]:
    validation, holdout = intervals(row.validation), intervals(row.holdout)
    mmd = validation[VAL_MMD].value if VAL_MMD in validation else None
    c2st, unseen = span(validation.get(VAL_C2ST)), span(holdout.get(VAL_C2ST))
    return c2st, number(mmd, 4), unseen, number(row.probability_best, 2)


def _repeats(repeats: Repeats) -> str:
    error = "" if repeats.sem is None else f" ± {repeats.sem:.3f} (s.e.m.)"
    return f"trained again with {repeats.n} other seed(s): C2ST {repeats.mean:.3f}{error}"


def span(found: Interval | None) -> str:
    """A figure with the ends of its interval; a dash where there is none."""
    return "-" if found is None else f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def print_worth(console: Console, goal: Goal, board: Leaderboard, best: Ranked, reference: Reference) -> None:
    """The C2ST of the best trial as the search saw it and judged again, between that of noise and that of people."""
    title = f"C2ST on held-out people ({CHANCE}: cannot be told apart)"
    table = columns("~against real movements of the validation part", ">C2ST", title=title)
    judged = (board.rows[0].validation, board.rows[0].holdout) if board.rows else (None, None)
    again, unseen = (intervals(judgement).get(VAL_C2ST) for judgement in judged)
    rung, floor, name = goal.rung, reference.floor, f"trial {best.number}"
    rows = [
        ("untrained model", number(c2st_at(best, 0, rung))),
        ("after 1 epoch", number(c2st_at(best, 1, rung))),
        (f"{name} after {best.epoch} epochs, as the search saw it", number(best.metrics.get(VAL_C2ST))),
        (f"{name} on fresh noise", span(again)),
        (f"{name} against the people of the holdout part", span(unseen)),
        ("real movements of the training people", number(reference.people)),
        ("real movements of the same people (floor)", f"{floor.mean:.3f} [{floor.low:.3f}, {floor.high:.3f}]"),
    ]
    for cells in rows:
        table.add_row(*cells)
    console.print(table)


def c2st_at(trial: Ranked, epoch: int, rung: str) -> float | None:
    """C2ST of a trial after an epoch, where the metric of its rungs, of which its history is, tells it."""
    return BELOW[rung] + trial.history[epoch] if epoch in trial.history and rung in BELOW else None
