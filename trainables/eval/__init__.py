"""Evaluation of movements: kinematic features, spectra and two-sample metrics."""
