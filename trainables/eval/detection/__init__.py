"""Metrics of a detector: ROC, calibration, fusion over a session, linear probes, and their plots."""
