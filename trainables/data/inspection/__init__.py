"""Inspection of recordings: their account, figures of the movements that are kept, and warnings."""
