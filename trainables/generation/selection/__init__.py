"""Selection among candidates: of K samples per condition one is drawn by the ratio of real to sampled density."""
