"""Confidence intervals over users: jackknife and cluster bootstrap."""
