"""The tutorial's page is the complete script, in its order."""

from docs.generate import tutorial


def test_the_page_is_up_to_date() -> None:
    script = tutorial.SCRIPT.read_text(encoding="utf-8")
    written = tutorial.PAGE.read_text(encoding="utf-8")
    assert written == tutorial.page(script), "docs/tutorial.md is outdated; run: python -m docs.generate"


def test_no_line_of_code_is_lost() -> None:
    script, written = tutorial.SCRIPT.read_text(encoding="utf-8"), tutorial.PAGE.read_text(encoding="utf-8")
    code = [line for line in script.splitlines() if line and not line.startswith(("#", '"""'))]
    assert [line for line in code if line not in written.splitlines()] == []
    assert script.count("# %%") == len(list(tutorial.CELL.finditer(script)))
