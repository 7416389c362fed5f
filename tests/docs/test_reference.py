"""The reference equals the present code, with every command and key, and contains no path of a machine."""

from functools import cache
from pathlib import Path

import pytest

from docs.generate import reference
from trainables.core.cli import parse
from trainables.core.command import Command
from trainables.core.help import sections
from trainables.metric_registry import METRICS

pages = cache(reference.pages)  # the collection of the tests does not wait for it


@pytest.mark.parametrize("name", sorted(path.name for path in reference.FOLDER.iterdir()))
def test_a_page_is_up_to_date(name: str) -> None:
    written = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert written == pages().get(name), f"docs/reference/{name} is outdated; run: python -m docs.generate.reference"


def test_there_is_no_other_page() -> None:
    assert {path.name for path in reference.FOLDER.iterdir()} == set(pages())


@pytest.mark.parametrize("command", reference.commands(), ids=lambda command: command.config_name)
def test_every_command_and_key_is_there(command: Command) -> None:
    assert f"python -m {command.module} " in pages()["commands.md"]
    keys = {key.name for group in sections(command, parse(command, [])) for key in group.keys}
    assert sorted(key for key in keys if f"| `{key}` |" not in pages()["keys.md"]) == []


def test_every_metric_is_there() -> None:
    missing = [name for name in METRICS if f"| `{name}` |" not in pages()["metrics.md"]]
    assert missing in ([], ["train/loss"])  # the training loop's own loss is no metric of an evaluation


def test_no_page_names_a_place_of_this_machine() -> None:
    places = ("/home/", "/root/", str(Path(__file__).resolve().parents[2]))
    assert [name for name, text in pages().items() for place in places if place in text] == []
