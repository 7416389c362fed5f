"""The code map equals the present docstrings, lists every module, and truncates no sentence."""

from pathlib import Path

import pytest

from docs.generate import code_map


def test_the_page_is_up_to_date() -> None:
    written = code_map.PAGE.read_text(encoding="utf-8")
    assert written == code_map.page(code_map.ROOT), "docs/code-map.md is outdated; run: make map"


def test_every_module_has_a_docstring() -> None:
    modules = [path for _, paths in code_map.folders(code_map.ROOT) for path in paths]
    assert [path for path in modules if not code_map.summary(path)] == []


def test_a_section_shows_the_folder_and_then_each_module(tmp_path: Path) -> None:
    folder = tmp_path / "platform" / "study"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Studies. And more."""\n')
    (folder / "b.py").write_text('"""Return a | b."""\n')
    (folder / "a.py").write_text('"""Open a\nstudy.\n\nMore."""\n')
    text = code_map.page(tmp_path)
    table = "| module | |\n|---|---|\n| `a.py` | Open a study. |\n| `b.py` | Return a \\| b. |\n"
    assert text == f"{code_map.HEADER}\n## `platform/study/`\n\nStudies.\n\n{table}"


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        pytest.param("One. Two.", "One.", id="the first of two"),
        pytest.param("Of 2.5 px, e.g. here", "Of 2.5 px, e.g. here", id="a point inside"),
        pytest.param("`a.b`: read. `c` too.", "`a.b`: read.", id="the second begins with code"),
        pytest.param("Of two\nlines\n\nNext", "Of two lines", id="a paragraph over two lines"),
        pytest.param("", "", id="none"),
    ],
)
def test_the_first_sentence(docstring: str, sentence: str) -> None:
    assert code_map.first_sentence(docstring) == sentence
