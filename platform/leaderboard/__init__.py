"""Re-evaluate the best trials, rank them, and log every holdout evaluation."""
