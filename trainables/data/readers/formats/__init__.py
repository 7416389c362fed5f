"""Formats of experiment software and of event logs, a reader each."""
