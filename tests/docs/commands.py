"""The commands that README.md and the pages of docs/ show: those of their blocks, and those inside of a line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docs.generate.links import ROOT

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
COMMENT = re.compile(r"\s+# .*$")
OURS = re.compile(r"(\w+=\S+ )?(python -m \w|make \w|ray \w|serve \w+ |curl |locust )")
GENERATED = ("docs/code-map.md", "docs/reference/", "docs/tutorial.md")


class Shown(NamedTuple):
    """A command or a piece of Python, and the page that shows it."""

    page: str
    text: str


def pages() -> list[Path]:
    """Return the pages whose commands are typed by hand, the README first."""
    written = sorted((ROOT / "docs").rglob("*.md"))
    return [ROOT / "README.md", *(path for path in written if not name(path).startswith(GENERATED))]


def name(page: Path) -> str:
    """Return the path of a page from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def shell(text: str) -> Iterator[str]:
    """Yield the commands of a page, without their comments."""
    yield from (span for span in SPAN.findall(FENCE.sub("", text)) if OURS.match(span))
    for block in FENCE.finditer(text):
        lines = block["body"].splitlines()
        if block["language"] == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif block["language"] != "bash":
            continue
        yield from filter(None, (COMMENT.sub("", line).strip() for line in lines))


def python(text: str) -> Iterator[str]:
    """Yield the Python blocks of a page."""
    yield from (block["body"] for block in FENCE.finditer(text) if block["language"] == "python")


def commands() -> list[Shown]:
    """Return every command of every page, each once per page."""
    shown = [Shown(name(page), text) for page in pages() for text in shell(page.read_text(encoding="utf-8"))]
    return list(dict.fromkeys(shown))


def snippets() -> list[Shown]:
    """Return every Python block of every page."""
    return [Shown(name(page), text) for page in pages() for text in python(page.read_text(encoding="utf-8"))]
