"""The registry of champions and the publication of a checkpoint into it."""
