"""The splits of a data set: whose movements are trained on and evaluated, prepared once for all processes."""
