"""Two-sample metrics under their stable names; each has its definition and sources in its own file.

All take samples as tables [N, F] of features, real first. `c2st` scales inside its folds; for `mmd_rbf` and `prd`
bring the columns to the scale of the real part with `standardise`.
"""

from trainables.eval.c2st import C2STResult, NullBand, c2st, classifier_two_sample_test, null_band
from trainables.eval.mmd import median_distance, mmd_rbf
from trainables.eval.prd import prd
from trainables.eval.probes import PROBES
from trainables.eval.tables import Standardised, standardise

__all__ = [
    "PROBES",
    "C2STResult",
    "NullBand",
    "Standardised",
    "c2st",
    "classifier_two_sample_test",
    "median_distance",
    "mmd_rbf",
    "null_band",
    "prd",
    "standardise",
]
