"""Judging a checkpoint again, of whatever kind: fresh seeds, any held-out part, with and without each person."""

from trainables.model_evaluation.reevaluate import JUDGED_ON, judge, judged
from trainables.model_evaluation.result import Judgement

__all__ = ["JUDGED_ON", "Judgement", "judge", "judged"]
