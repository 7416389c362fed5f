"""Warnings about recordings: what will go wrong with them in a training or an evaluation, and what to do.

A warning is a function of an inspection that yields lines, each with the finding and the remedy. There is one only for
what has a consequence: a refusal, a split without users, wide intervals, movements that are lost, or a recorder that a
model or a detector can see.
"""

from collections.abc import Callable, Iterator, Mapping

from trainables.core.formatting import counted
from trainables.data.config import EVALUATION_SPLITS, RATE_HZ
from trainables.data.inspection.figures import LENGTHS, MovementFigures
from trainables.data.inspection.inspection import Inspection
from trainables.data.readers.cleaning import CLOCK_BACK, EDGE, TOUCH
from trainables.data.readers.segment import SLOW_SESSION
from trainables.data.sources import TRAINED_ON_ONLY, laboratory_of
from trainables.data.splits.assignment import TRAINED
from trainables.data.splits.data_splits import LONGER_REMEDY, too_short

ENOUGH_USERS = 60  # twenty in the validation split; fewer make wide intervals
LARGEST_SHARE = 1 / 3  # of the movements of one user
LARGEST_LOSS = 0.2  # of the movements for one reason
LATE_MS = 1.0  # a stamp in whole milliseconds, or one that comes late
SUB_PIXEL = 0.01  # share of coordinates between pixels; one that is interpolated now and then is none
SMALL_SCREEN_PX = 10.0  # positions in a smaller range are shares of a screen
REMEDIES: Mapping[str, str] = {
    SLOW_SESSION: f"record at {RATE_HZ:g} Hz or more",
    CLOCK_BACK: "sort the rows by time, or name another session where a clock starts anew",
    EDGE: "keep targets away from the edges of the screen",
    TOUCH: "record a mouse",
}
"""Reason of a dropped movement -> what to do."""
FASTER = REMEDIES[SLOW_SESSION]
CUT = "end a movement at a click or a rest"
ELSE = "see What is dropped and counted in docs/data.md"


def warnings_of(inspection: Inspection) -> list[str]:
    """Return all warnings about recordings, the gravest first."""
    lines = [line for about in ACCOUNT_WARNINGS for line in about(inspection)]
    figures = inspection.figures
    return lines + ([line for about in FIGURE_WARNINGS for line in about(figures)] if figures else [])


def nothing_kept(inspection: Inspection) -> Iterator[str]:
    """Warn where no movement is kept: a training on these recordings is refused."""
    if not inspection.kept:
        yield f"no movement of {inspection.read:,} is kept; {_remedy(inspection)}"


def much_dropped(inspection: Inspection) -> Iterator[str]:
    """Warn where one reason costs many of the movements."""
    for reason, count in inspection.dropped.items():
        if inspection.kept and count > LARGEST_LOSS * inspection.read:
            yield f"{count / inspection.read:.0%} of the movements are dropped: {reason}; {REMEDIES.get(reason, ELSE)}"


def _remedy(inspection: Inspection) -> str:
    reason = max(inspection.dropped, key=inspection.dropped.__getitem__, default="")
    return REMEDIES.get(reason, ELSE)


def trained_on_only(figures: MovementFigures) -> Iterator[str]:
    """Warn of sources that no evaluated split has."""
    for source in figures.sources.keys() & TRAINED_ON_ONLY.keys():
        remedy = "the others are evaluated" if several(figures) else "read another source beside it to evaluate"
        yield f"{source} is trained on only: {TRAINED_ON_ONLY[source]}; {remedy}"


def empty_splits(figures: MovementFigures) -> Iterator[str]:
    """Warn of splits without a user, of evaluated ones without a user of a source: a training is refused."""
    refused = "so that a training is refused; read recordings of more users"
    if not figures.splits[TRAINED].users:
        yield f"no user is in {TRAINED}, {refused}"
    for name, source in figures.sources.items():
        missing = [split for split in EVALUATION_SPLITS if not source.split_users[split]]
        if missing and name not in TRAINED_ON_ONLY:
            yield f"no user of {name} is in {_listed(missing)}, {refused}" + (", or leave it out" * several(figures))


def several(figures: MovementFigures) -> bool:
    """Return whether the recordings are of several sources."""
    return len(figures.sources) > 1


def few_users(figures: MovementFigures) -> Iterator[str]:
    """Warn where intervals will be wide."""
    count = figures.users.count
    if count < ENOUGH_USERS:
        law = f"{counted(count, 'user')}: intervals are wide, since an evaluated split has a sixth to a third"
        yield f"{law}; record {ENOUGH_USERS} or more, and evaluate with crossfit=5, which takes all of them"


def dominant_user(figures: MovementFigures) -> Iterator[str]:
    """Warn where one user outweighs the others, of whom there are some."""
    users = figures.users
    if users.count > 1 and users.largest_share > LARGEST_SHARE:
        share = f"{users.largest_share:.0%} of the movements are of the user {users.largest}"
        yield f"{share}, whom a model trained on them imitates; record more of the others, or leave some of these out"


def one_file_per_user(figures: MovementFigures) -> Iterator[str]:
    """Warn where the files of one human would count as several users."""
    if figures.named_by_files:
        law = "every user has one session of the same name, as where a file stands for a user"
        remedy = "give all files of one human one user, by a column or a folder, or they are in two splits"
        yield f"{law}; {remedy}"


def one_laboratory(figures: MovementFigures) -> Iterator[str]:
    """Warn of sources in which the same humans may have taken part under other names."""
    sources: dict[str, list[str]] = {}
    for name in sorted(figures.sources):
        sources.setdefault(laboratory_of(name), []).append(name)
    for names in sources.values():
        if len(names) > 1:
            law = f"{', '.join(names)} are of one laboratory, so that a human may be in two splits under two names"
            yield f"{law}; leave all but one out where that matters (data.leave_out)"


def short_sequences(figures: MovementFigures) -> Iterator[str]:
    """Warn where T loses many movements that a longer one would keep."""
    default = LENGTHS[0]
    found = too_short({name: source.usable[default] for name, source in figures.sources.items()}, default)
    if found:
        yield f"{found}; {LONGER_REMEDY}"


def much_unusable(figures: MovementFigures) -> Iterator[str]:
    """Warn where the canonical form cannot hold many movements, at the T that the recordings need."""
    steps, kept = figures.sequence_length, sum(source.movements for source in figures.sources.values())
    for reason, count in figures.unusable[steps].items():
        too_long = f"T={steps}" in reason
        if count > LARGEST_LOSS * kept and not (too_long and steps == LENGTHS[0]):  # see `short_sequences`
            remedy = f"set data.canonical.sequence_length above {steps}, or {CUT}" if too_long else ELSE
            yield f"{count / kept:.0%} of the kept movements cannot be used: {reason}; {remedy}"


def slow_recorder(figures: MovementFigures) -> Iterator[str]:
    """Warn of recorders slower than the observation, which then interpolates."""
    for name, source in figures.sources.items():
        if source.step_ms.median > 1000 / RATE_HZ + LATE_MS:
            rate = f"{name} is recorded every {source.step_ms.median:.1f} ms, slower than {RATE_HZ:g} Hz"
            yield f"{rate}: what lies between is interpolated, which tells this recorder from others; {FASTER}"


def sub_pixels(figures: MovementFigures) -> Iterator[str]:
    """Warn of positions that are no pixels, or between them: the observation rounds to whole pixels."""
    low, high = min(figures.x_px[0], figures.y_px[0]), max(figures.x_px[1], figures.y_px[1])
    if high - low < SMALL_SCREEN_PX:
        yield f"positions from {low:g} to {high:g} are no pixels; multiply them by the size of the screen"
    elif figures.whole_px < 1 - SUB_PIXEL:
        share = f"{1 - figures.whole_px:.0%} of the coordinates lie between pixels and are rounded"
        yield f"{share}; record pixels of the screen: those of a scaled page times window.devicePixelRatio"


def _listed(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


ACCOUNT_WARNINGS: tuple[Callable[[Inspection], Iterator[str]], ...] = (nothing_kept, much_dropped)
FIGURE_WARNINGS: tuple[Callable[[MovementFigures], Iterator[str]], ...] = (
    empty_splits,
    trained_on_only,
    few_users,
    dominant_user,
    one_file_per_user,
    one_laboratory,
    short_sequences,
    much_unusable,
    slow_recorder,
    sub_pixels,
)
