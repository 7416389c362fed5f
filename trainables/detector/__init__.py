"""Detectors of bots: the bots that they learn from, the model, its training and its evaluation."""
