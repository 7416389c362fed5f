"""Features of movements: kinematic, spectral, on the pixel grid, at 125 Hz; and the tables that probes fit."""
