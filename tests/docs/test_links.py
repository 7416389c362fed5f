"""Properties of the links between pages: each leads to a file and to a heading that are there."""

import re
from pathlib import Path

import pytest

from docs.generate.links import ROOT, external, links, pages

HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub and MyST make them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    wrong = []
    for link in links(page.read_text(encoding="utf-8")):
        if external(link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", [path.relative_to(ROOT).as_posix() for path in pages(ROOT)])
def test_no_link_leads_nowhere(page: str) -> None:
    assert broken(ROOT / page) == []


def test_a_broken_link_is_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "there.md").write_text("# One two\n")
    page.write_text("# Here\n[a](there.md) [b](there.md#one-two) [c](#here) [d](no.md) [e](there.md#three) [f](#no)\n")
    assert broken(page) == ["no.md", "there.md#three", "#no"]


def test_a_box_with_a_link_is_a_picture_and_a_link() -> None:
    assert list(links("[![a](b.svg)](c.md#d)[![e](f.svg)](g.md)")) == ["b.svg", "c.md#d", "f.svg", "g.md"]
