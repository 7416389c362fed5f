"""The adversarial baseline: a conditional WGAN-GP over the sequences that the diffusion model learns from."""
