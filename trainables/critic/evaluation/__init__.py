"""Evaluation of a critic: which of many goals a step leads to, on users who were not trained on."""
