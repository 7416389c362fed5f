"""Helpers that several benchmarks share: a measured service and its clients, studies of arms, and their data."""
