"""Two-sample metrics: C2ST with its probes, MMD, PRD, an out-of-bag forest, and k-nearest-neighbour manifolds."""
