"""Width of what is printed: the terminal's, or without a limit into a file or a pipe."""

from rich.console import Console

UNBOUNDED = 1_000_000  # columns, of which a table takes those that its content needs


def page(console: Console) -> Console:
    """Return the console of a terminal as it is, else one on which no table is cut and no row wrapped."""
    return console if console.is_terminal else Console(file=console.file, width=UNBOUNDED)
