"""Commands that write the generated pages; each runs as `python -m docs.generate.<name>`."""
