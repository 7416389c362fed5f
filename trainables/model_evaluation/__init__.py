"""Evaluate a checkpoint of any kind under new seeds, on any held-out split, with and without each user."""

from trainables.model_evaluation.reevaluate import EVALUATION_SPLITS, evaluate, try_evaluate
from trainables.model_evaluation.result import EvaluationResult

__all__ = ["EVALUATION_SPLITS", "EvaluationResult", "evaluate", "try_evaluate"]
