"""The challenger of a leaderboard that is older than its study is refused."""

import re
from pathlib import Path

import pytest
from optuna.trial import TrialState

from platform.promotion.challenger import of_leaderboard
from platform.promotion.config import FIRST
from tests.platform.studies import add, study_in, write_board
from trainables.core.config import ConfigError
from trainables.training.checkpoint_record import CheckpointError


def test_a_trial_that_has_ended_since_the_leaderboard_is_no_challenger_unseen(tmp_path: Path) -> None:
    """Up to then its checkpoint is read, which does not exist here."""
    study = study_in(tmp_path / "s")
    add(study, TrialState.COMPLETE, 0.2)
    write_board(study, tmp_path / "s", [0], ended=1)
    with pytest.raises(CheckpointError):
        of_leaderboard(tmp_path / "s", FIRST)
    add(study, TrialState.COMPLETE, 0.1)
    file = tmp_path / "s" / "leaderboard.json"
    refusal = f"{file}, which is older than 1 of them; run the command of the sweep study_name=s again"
    with pytest.raises(ConfigError, match=re.escape(refusal)):
        of_leaderboard(tmp_path / "s", FIRST)
