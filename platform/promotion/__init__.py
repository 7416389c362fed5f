"""Decide by a paired test whether a challenger replaces the champion, and record the decision."""
