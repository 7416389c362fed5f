"""Training data of a detector: negatives of every source, and the training set of each pass."""
