"""Goal-conditioned contrastive reinforcement learning on movements of the pointer."""
