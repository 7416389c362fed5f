"""`python -m docs.generate.tutorial`: write docs/tutorial.md from the script docs/tutorial.py.

The script is in jupytext's percent format: a cell begins with `# %%`, and one of text with `# %% [markdown]`.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT, PAGE = ROOT / "docs" / "tutorial.py", ROOT / "docs" / "tutorial.md"
CELL = re.compile(r"^# %%(?P<kind> \[markdown\])?\n(?P<body>.*?)(?=^# %%|\Z)", re.MULTILINE | re.DOTALL)
DOCSTRING = re.compile(r'\A""".*?"""\n+', re.DOTALL)


def page(script: str) -> str:
    r"""Return the Markdown of a script in percent format.

    >>> page('# %% [markdown]\n# # Title\n#\n# Text.\n\n# %%\n\"\"\"Doc.\"\"\"\n\nx = 1\n')
    '# Title\n\nText.\n\n```python\nx = 1\n```\n'
    """
    cells = (text(cell["body"]) if cell["kind"] else code(cell["body"]) for cell in CELL.finditer(script))
    return "\n\n".join(cells) + "\n"


def text(body: str) -> str:
    """Return a cell of text without its comment signs."""
    return "\n".join(re.sub(r"^# ?", "", line) for line in body.strip().splitlines())


def code(body: str) -> str:
    """Return a cell of code in a fence, without the docstring of the module."""
    return f"```python\n{DOCSTRING.sub('', body.strip() + chr(10)).strip()}\n```"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(SCRIPT.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
