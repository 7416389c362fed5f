"""Readers of recordings: what reads files, cuts them into movements and counts what it leaves out."""
