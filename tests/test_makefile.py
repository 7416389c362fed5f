"""`make help` lists every target of the Makefile with what it costs."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COST = r"at once|seconds|until Ctrl-C|hours|\d+ (min|h)(, [\d.]+ GB( more)?)?"


def test_every_target_is_listed_with_its_cost() -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    rows = [re.split(r"  +", line.strip(), maxsplit=2) for line in printed.splitlines()[1:]]
    [phony] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(target for target, _, _ in rows) == sorted(phony.split())
    assert [row for row in rows if not re.fullmatch(COST, row[1])] == []
