"""House words: terms that a reader of the field would not search for stay out of code and messages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = ("platform", "search_spaces", "serve", "trainables", "docs", "README.md", "CONTRIBUTING.md")
NAMES_OF_BEFORE = ("trainables/core/renamed.py", "trainables/detector/judge.py", "docs/code-map.md")
"""Files whose subject is what was renamed, and what is generated from them."""
SUFFIXES = (".py", ".j2", ".md")
BANNED = {
    r"judg(?:es?|ed|ing|ements?)": "evaluate, evaluation",
    r"accus(?:es?|ed)": "flagged, FPR",
    r"(?:is|are|was|be) told": "recorded, shown",
    r"go(?:es)? on|went on": "continues, is resumed",
    r"looks? at the holdout": "holdout evaluation",
    r"nobody": "no user, no process",
    r"OptunaBridge|the bridge": "OptunaSearcher, the searcher",
}
"""Pattern of whole words -> the words to use."""
STORED = {
    "platform/leaderboard/holdout_ledger.py": "judgement",  # the event's name in ledgers that exist
    "platform/leaderboard/archive.py": "judgements",  # the folder's name in studies that exist
    "trainables/detector/evaluation/sessions.py": "accused",  # the name of a random stream, on which figures depend
    "platform/promotion/decision_record.py": "judgements",  # the key's name in registries that exist
}
"""File -> the quoted name that is stored on disk, which older files bear."""


def sources(folder: str) -> list[Path]:
    place = ROOT / folder
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return [file for file in files if file.suffix in SUFFIXES and str(file.relative_to(ROOT)) not in NAMES_OF_BEFORE]


def found(text: str, stored: str = "") -> list[str]:
    """Banned words of a text with their line; the quoted stored name does not count."""
    lines = (line.replace(f'"{stored}"', "") if stored else line for line in text.splitlines())
    pattern = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
    return [f"line {at}: {match[0]}" for at, line in enumerate(lines, start=1) for match in pattern.finditer(line)]


@pytest.mark.parametrize("folder", PLACES)
def test_no_private_words_are_left(folder: str) -> None:
    wrong = {
        str(file.relative_to(ROOT)): words
        for file in sources(folder)
        if (words := found(file.read_text(), STORED.get(str(file.relative_to(ROOT)), "")))
    }
    assert sources(folder) != []
    assert wrong == {}, "\n".join(f"{pattern}: {instead}" for pattern, instead in BANNED.items())


@pytest.mark.parametrize("file", STORED)
def test_each_stored_name_is_still_there(file: str) -> None:
    assert f'"{STORED[file]}"' in (ROOT / file).read_text()


@pytest.mark.parametrize("text", ["It was judged.", "the trial goes on", "Looks at the holdout", "is told twice"])
def test_the_words_are_seen(text: str) -> None:
    assert len(found(text)) == 1


def test_other_words_are_let_through() -> None:
    assert found('prejudged holdout; gone online; "judgement"', stored="judgement") == []
