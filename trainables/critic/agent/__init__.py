"""Agents that reach targets: contrastive reinforcement learning, and its baselines, in one loop."""
