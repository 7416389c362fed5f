"""Progress of the reading of many recordings: a bar on a terminal, else one line at its begin."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trainables.data.splits.parts import Group

LARGE_BYTES = 64 * 2**20  # of files; less is read within seconds


def shown(groups: Iterable[Group], label: str, total: int) -> Iterator[Group]:
    """Yield the groups of a data set while the progress is shown on the error output; of a small one nothing is.

    Args:
        label: What the recordings are called.
        total: Size of their files in bytes.
    """
    if total < LARGE_BYTES:
        yield from groups
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"preparing {label}: {total / 2**20:,.0f} MiB of recordings", highlight=False, soft_wrap=True)
        yield from groups
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"preparing {label}", total=total)
        for group in groups:
            progress.advance(task, group.stored)
            yield group
