"""Building blocks of the networks: layers, modulation, averaged weights and the learning-rate schedule."""
