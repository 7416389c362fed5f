"""Limits of use of every generator, as its cards state them."""

LIMITS_OF_USE = (
    "Intended to harden detectors: its movements are synthetic negatives, and every response is marked so.",
    "Returns canonical normalised deltas; it injects no input, schedules no clicks and drives no browser.",
    "Imitates no particular user, and nothing optimises evasion of a detector for a client.",
)
