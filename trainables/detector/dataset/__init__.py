"""Training data of the detector: negatives of every origin and the epochs made of them."""
