"""What all generators share: conditions, training sets with generated movements, blocks of rows and keyed noise."""
