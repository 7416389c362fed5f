"""Networks that predict the diffusion target from a noisy sequence."""
