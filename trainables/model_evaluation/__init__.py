"""Evaluate a checkpoint of any kind under new seeds, on any held-out split, with and without each user."""
