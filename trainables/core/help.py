"""The text of `--help`: usage, verbs, switches, exit codes, then every key with its bound, present value and meaning.

Coloured in a terminal (unless NO_COLOR is set), plain aligned text elsewhere. The reference of the documentation is
made from the same records (`sections`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainables.core.command import Command, Request, files_of, presets
from trainables.core.fields import Group, Key, groups_of

WIDTH = 120  # of the text where there is no terminal
USED_MOST = "Most used"


def help_text(command: Command, request: Request) -> str:
    """Usage, verbs, switches, exit codes, and every key of the composed configuration, ready to print."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    with console.capture() as captured:
        console.print(Text(usage(command)))
        console.print(Text(f"\n{command.about.strip()}\n"))
        words = (("Verbs", command.verbs), ("Switches", command.switches), ("Exit codes", exit_codes(command)))
        for title, rows in words:
            _print_rows(console, title, ((str(word), "", text) for word, text in rows.items()))
        console.print(Text("Every key with its present value; override any of them as key=value.\n"))
        for group in by_use(command, sections(command, request)):
            title = ": ".join(filter(None, (group.name, group.about)))
            _print_rows(console, title, ((override(key), f"{key.kind} {key.bound}", key.meaning) for key in group.keys))
    return "\n".join(line.rstrip() for line in captured.get().strip().splitlines())


def usage(command: Command) -> str:
    """The form of the command line."""
    verb = " [VERB]" if command.verbs else f" {command.argument.upper()}" if command.argument else ""
    switches = "".join(f" [{name}]" for name in command.switches)
    return f"usage: python -m {command.module}{verb} [--help] [--cfg job]{switches} [key=value ...]"


def exit_codes(command: Command) -> Mapping[int, str]:
    """Every exit code of a command with its meaning; its own texts stand in place of the common ones."""
    common = {0: "done", 1: "the work failed", 2: "wrong input", 130: "interrupted"}
    return dict(sorted({**common, **command.exit_codes}.items()))


def sections(command: Command, request: Request) -> list[Group]:
    """The keys of a composed configuration in groups, each with the value that it has there as its default."""
    found = []
    chosen = _choices(command, request)
    if chosen:
        found.append(Group("", "Choices of whole groups of keys", chosen))
    for name, schema in command.schemas.items():
        place, _, leaf = name.rpartition("/")
        at = place if place in request.choices else ""
        if at and request.choices[at] != leaf.removesuffix("_schema"):
            continue
        values = request.config[at] if at else request.config
        for cls in schema if isinstance(schema, tuple) else (schema,):
            found += [group for group in groups_of(cls, at, values) if group.keys]
    return sorted(found, key=lambda group: bool(group.name))


def by_use(command: Command, groups: Iterable[Group]) -> list[Group]:
    """The groups, before them one of the keys that are used most, in their order, which the others then lack."""
    given = list(groups)
    known = {key.name: key for group in given for key in group.keys}
    first = tuple(known[name] for name in command.common if name in known)
    rest = (replace(group, keys=tuple(key for key in group.keys if key not in first)) for group in given)
    return [group for group in (Group("", USED_MOST, first), *rest) if group.keys]


def override(key: Key) -> str:
    """A key with its value, as an override gives it.

    >>> override(Key("optim.betas", "list of float", [0.9, 0.999], "", "")), override(Key("path", "str", "", "", ""))
    ('optim.betas=[0.9,0.999]', "path=''")
    """
    return f"{key.name}={written(key.default)}"


def written(value: Any) -> str:
    """A plain value, as an override gives it."""
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if value != "" else "''"


def _choices(command: Command, request: Request) -> tuple[Key, ...]:
    """The keys that choose a file of keys: one for each group, and the one of presets."""
    groups = {
        name: (value, files_of(name), f"the keys {name}.* and their defaults")
        for name, value in request.choices.items()
        if files_of(name)
    }
    if command.preset_key:
        value = command.config_name.rpartition("/")[2]
        groups[command.preset_key] = (value, presets(command), "the file of defaults")
    return tuple(
        Key(name, "str", value, " | ".join(sorted(names)), meaning) for name, (value, names, meaning) in groups.items()
    )


def _print_rows(console: Console, title: str, rows: Iterable[tuple[str, str, str]]) -> None:
    """A heading and three columns, of which the middle one may be empty; nothing without rows."""
    listed = list(rows)
    if not listed:
        return
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(style="dim", overflow="fold", max_width=console.width // 4)
    table.add_column(overflow="fold")
    for row in listed:
        table.add_row(*(Text(f"  {cell}" if at == 0 else cell) for at, cell in enumerate(row)))
    console.print(Text(title, style="bold"))
    console.print(table)
    console.print()
