"""The training set of a network: recorded movements, varied, and those of a generator by count."""
