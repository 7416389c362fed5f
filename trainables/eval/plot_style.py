"""Colours (safe for the colour-blind) and resolution of all plots."""

REAL, FAKE, NULL = "#0072b2", "#d55e00", "#009e73"


DPI = 110
