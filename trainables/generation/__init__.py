"""Shared by all generators: conditions, training sets with generated movements, blocks of rows and keyed noise."""
