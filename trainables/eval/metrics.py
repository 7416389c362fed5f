"""Two-sample metrics under their stable names; the module of each has its definition and references.

All take samples as tables [N, F] of features, real first. `c2st` scales inside its folds, and a forest needs no scale
(`out_of_bag_test`); for all others bring the columns to the scale of the real rows with `standardise`.
"""

from trainables.eval.features.feature_tables import Standardised, standardise
from trainables.eval.two_sample.c2st import C2STResult, c2st, classifier_two_sample_test, null_band
from trainables.eval.two_sample.manifold import density_coverage, precision_recall
from trainables.eval.two_sample.mmd import MMDTest, median_distance, mmd_rbf, mmd_test
from trainables.eval.two_sample.null_band import NullBand
from trainables.eval.two_sample.out_of_bag import OutOfBagResult, out_of_bag_test
from trainables.eval.two_sample.prd import prd
from trainables.eval.two_sample.probes import PROBES

__all__ = [
    "PROBES",
    "C2STResult",
    "MMDTest",
    "NullBand",
    "OutOfBagResult",
    "Standardised",
    "c2st",
    "classifier_two_sample_test",
    "density_coverage",
    "median_distance",
    "mmd_rbf",
    "mmd_test",
    "null_band",
    "out_of_bag_test",
    "prd",
    "precision_recall",
    "standardise",
]
