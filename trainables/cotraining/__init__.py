"""Co-training of a physical and a neural generator, in cycles on real movements and those of the other."""
