"""The contract of a trainable, its checkpoints, run folders, manifests and metric names."""
