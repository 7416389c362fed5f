"""Progressive distillation: a diffusion that samples in one network call where its teacher takes many."""
