"""`python -m docs.generate.links`: list the external links of README.md and docs/, which no test fetches.

The links inside of the repository are checked: by Sphinx for the site, by tests/docs for the files as they lie there.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?://[^>\s]+)>")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


def pages(root: Path) -> list[Path]:
    """Return the Markdown files that users read."""
    return [*(root / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((root / "docs").rglob("*.md"))]


def links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links and pictures, not those inside of code.

    >>> list(links("[a](b.md#c) `[d](e)` [![f](g.png)](h.md) <https://example.org>"))
    ['b.md#c', 'g.png', 'h.md', 'https://example.org']
    """
    prose = CODE.sub("", FENCE.sub("", text))
    for match in LINK.finditer(prose):
        yield from filter(None, match.groups())


def external(link: str) -> bool:
    """Return whether a link leads out of the repository."""
    return link.startswith(("http://", "https://", "mailto:"))


def main() -> None:
    """Print each external link with its page."""
    for page in pages(ROOT):
        for link in filter(external, links(page.read_text(encoding="utf-8"))):
            print(f"{page.relative_to(ROOT)}: {link}")


if __name__ == "__main__":
    main()
