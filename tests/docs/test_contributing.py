"""Properties of the diffs in CONTRIBUTING.md: each applies to the tree as it is."""

import re
import subprocess

import pytest

from docs.generate.links import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## Add (?P<title>[^\n]+)\n(?P<body>.*?)(?=^## )", re.MULTILINE | re.DOTALL)
DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIFFS = {section["title"]: diff for section in SECTION.finditer(TEXT) for diff in DIFF.findall(section["body"])}


def applies(diff: str) -> str:
    """Return the error of git about a diff, empty where it applies."""
    done = subprocess.run(
        ["git", "apply", "--check", "-"], cwd=ROOT, input=diff, capture_output=True, text=True, check=False
    )
    return done.stderr


@pytest.mark.parametrize("title", sorted(DIFFS))
def test_a_diff_applies(title: str) -> None:
    assert applies(DIFFS[title]) == ""


def test_each_extension_that_is_promised_has_a_diff() -> None:
    assert {"a trainable", "a bot family", "a metric", "a search parameter", "a data source"} <= set(DIFFS)


def test_a_diff_that_does_not_apply_is_reported() -> None:
    diff = next(iter(DIFFS.values()))
    assert applies(re.sub(r"^ ", " changed ", diff, flags=re.MULTILINE)) != ""
