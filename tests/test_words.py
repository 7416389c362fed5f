"""House words: terms that a reader of the field would not search for stay out of code, tests and messages."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("benchmarks", "platform", "search_spaces", "serve", "trainables")
PLACES = (*CODE, "configs", "docs", "tests", "README.md", "CONTRIBUTING.md")
NAMES_OF_BEFORE = (
    "trainables/core/renamed.py",
    "tests/trainables/core/test_renamed.py",
    "trainables/detector/judge.py",
    "docs/code-map.md",
    "tests/test_words.py",
)
"""Files whose subject is what was renamed, and what is generated from them."""
SUFFIXES = (".html", ".j2", ".md", ".py", ".yaml")
BANNED = {
    r"judg(?:es?|ed|ing|ements?)": "evaluate, evaluation",
    r"accus(?:es?|ed)": "flagged, FPR",
    r"caught": "detected, TPR",
    r"told|tells? apart": "recorded, printed, distinguished",
    r"go(?:es|ing)? on|went on": "continues, is resumed",
    r"looks? at the holdout": "holdout evaluation",
    r"nobody|anybody|whoever": "no user, no process, the caller",
    r"people|persons?": "users; human movements and scores",
    r"strangers?": "unknown, unseen, independent",
    r"lends?|lent": "is a negative of",
    r"crown(?:s|ed)?": "promote",
    r"OptunaBridge|the bridge": "OptunaSearcher, the searcher",
    r"there is no such key": "unknown key",
}
"""Pattern of whole words -> the words to use. Parts of an identifier are words."""
STORED = {
    "platform/leaderboard/holdout_ledger.py": ('"judgement"',),  # the event's name in ledgers that exist
    "platform/leaderboard/archive.py": ('"judgements"',),  # the folder's name in studies that exist
    "platform/promotion/decision_record.py": ('"judgements"',),  # the key's name in registries that exist
    "trainables/detector/evaluation/sessions.py": ('"accused"', '"caught"'),  # random streams, on which metrics depend
    "tests/platform/leaderboard/test_holdout_ledger.py": ('"judgement"',),
    "tests/platform/leaderboard/test_leaderboard.py": ('"judgements"',),
    "tests/platform/sweep/test_reproduce.py": ('"judgements"',),
    "tests/platform/test_evaluate.py": ("detector import judge", "judge.main()", "key_people", '"people=', "`people`"),
    "tests/platform/test_promote.py": ('"judgements"',),
    "tests/trainables/core/test_cli.py": ("trainable.judgement",),
    "tests/trainables/detector/scores.py": ('"people"',),  # random streams of tests
    "tests/trainables/eval/detection/test_linear_probe.py": ('"people"',),
    "tests/trainables/eval/detection/test_roc.py": ('"people"',),
    "tests/trainables/training/test_older_versions.py": ('"judgement"',),
}
"""File -> names that are stored on disk, which older files bear, and names of random streams."""
VAGUE = re.compile(r"\b(?:must|should|has to|have to)\b")
TO_OPERATORS = "trainables/detector/evaluation/model_card.py"  # states duties of those who use the scores


def sources(folder: str) -> list[Path]:
    place = ROOT / folder
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return [file for file in files if file.suffix in SUFFIXES and str(file.relative_to(ROOT)) not in NAMES_OF_BEFORE]


def found(text: str, stored: tuple[str, ...] = ()) -> list[str]:
    """Return the banned words of a text with their lines, without those in stored names."""
    for name in stored:
        text = text.replace(name, "")
    pattern = re.compile(rf"\b(?:{'|'.join(BANNED)})\b", re.IGNORECASE)
    lines = enumerate(text.replace("_", " ").splitlines(), start=1)
    return [f"line {at}: {match[0]}" for at, line in lines for match in pattern.finditer(line)]


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module with their lines, docstrings left out."""
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("folder", PLACES)
def test_no_private_words_are_left(folder: str) -> None:
    wrong = {
        str(file.relative_to(ROOT)): words
        for file in sources(folder)
        if (words := found(file.read_text(), STORED.get(str(file.relative_to(ROOT)), ())))
    }
    assert sources(folder) != []
    assert wrong == {}, "\n".join(f"{pattern}: {instead}" for pattern, instead in BANNED.items())


@pytest.mark.parametrize("file", STORED)
def test_each_stored_name_is_still_there(file: str) -> None:
    text = (ROOT / file).read_text()
    assert [name for name in STORED[file] if name not in text] == []


@pytest.mark.parametrize("folder", CODE)
def test_messages_state_what_is_expected(folder: str) -> None:
    """`expected {law}, but got {value}; {remedy}` in place of "must be"."""
    files = [file for file in sources(folder) if file.suffix == ".py" and str(file.relative_to(ROOT)) != TO_OPERATORS]
    wrong = [
        f"{file.relative_to(ROOT)}, line {line}: {text}"
        for file in files
        for line, text in texts(file.read_text())
        if VAGUE.search(text)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "text",
    ["It was judged.", "the trial goes on", "Looks at the holdout", "is told twice", "def test_people_are_users():"],
)
def test_the_words_are_seen(text: str) -> None:
    assert len(found(text)) == 1


def test_other_words_are_let_through() -> None:
    assert found('prejudged holdout; gone online; "judgement"', stored=('"judgement"',)) == []


def test_docstrings_are_no_messages() -> None:
    assert [text for _, text in texts('"""It must hold."""\nraise ValueError(f"{x} must hold")')] == [" must hold"]
