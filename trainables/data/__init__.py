"""Recordings, their canonical form, and the data sets made of them."""
