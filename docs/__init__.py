"""Pages of the documentation; `docs.generate` writes those that are generated from the code."""
