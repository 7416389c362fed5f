"""Two-sample metrics: C2ST with its probes, MMD, PRD, and k-nearest-neighbour manifolds."""
