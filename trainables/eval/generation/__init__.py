"""Evaluation of generated movements beside real ones: validator, comparison, report and plots."""
