"""The page on troubleshooting: a row for every check of the doctor and for every error of the packages."""

import ast
import re

from docs.generate.links import ROOT
from platform.preflight.checks import CHECKS

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
UNSEEN = {
    "ServeError",  # the base of the service's errors
    "NoHistory",  # the doctor warns in its place
    "NotShownError",  # the report shows it in place of a plot
}


def first_cells() -> set[str]:
    """Return every name in code in the first column of a table."""
    cells = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def errors() -> set[str]:
    """Return the names of the error classes that the packages define."""
    files = [path for package in ("platform", "serve", "trainables") for path in (ROOT / package).rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return {
        node.name
        for node in nodes
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id.endswith(("Error", "Exception")) for base in node.bases)
    }


def test_every_check_of_the_doctor_has_a_cure() -> None:
    assert set(CHECKS) - first_cells() == set()


def test_every_error_has_a_cure() -> None:
    assert errors() - first_cells() - UNSEEN == set()


def test_no_row_describes_a_removed_error() -> None:
    assert {name for name in first_cells() if name.endswith("Error")} - errors() == set()
