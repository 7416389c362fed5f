"""Judging a checkpoint again, of whatever kind: fresh seeds, any held-out part, with and without each person."""

from trainables.judging.checkpoints import JUDGED_ON, judge, judged
from trainables.judging.judgement import Judgement

__all__ = ["JUDGED_ON", "Judgement", "judge", "judged"]
