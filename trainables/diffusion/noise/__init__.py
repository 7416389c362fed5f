"""Noise schedules: how signal and noise share the variance at every diffusion time."""
