"""Kinematic models of aimed movements, written down instead of learnt."""
