"""Diffusion over movement sequences: noise schedule, denoiser, objective, samplers and training."""
