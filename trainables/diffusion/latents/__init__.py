"""A shorter space for the diffusion: an autoencoder over time, its training and its reconstruction error."""
