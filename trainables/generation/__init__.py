"""Shared by all generators: conditions, chord alignment, blocks of rows and keyed noise."""
