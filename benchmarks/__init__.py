"""Benchmarks and studies behind docs/results.md; each runs as `python -m benchmarks.<name>`."""
