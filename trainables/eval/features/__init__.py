"""Features of movements: kinematic and spectral, and the tables that probes are fitted on."""
