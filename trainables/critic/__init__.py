"""Contrastive reinforcement learning on cursor movement: which positions a step leads to, by a critic of embeddings."""
