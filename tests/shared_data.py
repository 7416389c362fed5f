"""The folder of recordings that may not be redistributed; it stands beside the checkout where it is at hand."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
