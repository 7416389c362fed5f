"""Whether trials have ended since a leaderboard was written."""

from collections.abc import Mapping
from typing import Any

import optuna

from platform.study.budget import finished

ENDED = "ended"  # in the leaderboard's file: trials that had ended; earlier versions did not write it


def newer_trials(board: Mapping[str, Any], study: optuna.Study) -> int:
    """Return how many trials have ended since a leaderboard was written; 0 where its file does not tell."""
    now = len(finished(study))
    return max(now - int(board.get(ENDED, now)), 0)


def stale_line(board: Mapping[str, Any] | None, study: optuna.Study) -> str:
    """Return what a leaderboard that is older than the latest trial misses; empty for one that is not."""
    newer = newer_trials(board, study) if board is not None else 0
    return f"older than {newer} trial(s) that have ended since; run the sweep's command again" if newer else ""
