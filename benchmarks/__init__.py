"""Benchmarks that regenerate the speed tables; each runs as `python -m benchmarks.<name>`."""
