"""Evaluation of a detector: sets, thresholds, tables, plots, audits and the model card."""
