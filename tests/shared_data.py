"""The folders of files that may not be redistributed; they stand beside the checkout where they are at hand."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
CASES = SHARED.parent / "cases" / "data"
