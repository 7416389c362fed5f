"""Out-of-bag random-forest test, as the public evaluation of mouse-movement generators has it.

A forest of 100 trees of scikit-learn's defaults is fitted to as many real as fake rows. Each row is scored by the trees
whose bootstrap sample does not hold it (about 37 of them). The score that is reported elsewhere is the ROC-AUC of these
scores: 0.5 if the forest finds no difference, 1 if it orders all rows.

Known weaknesses. There are no folds, so rows of one user are in and out of the bag of every tree. What is particular to
users separates two groups of users although either is human, and the more so the more rows each user has. Only the
floor between other users of the same source says what a value means. The trees are of full depth: a row that has its
like on the other side alone is scored by its like, so that a replay of the real rows reads less than 0.5, and a copy 0.
And without a difference the mean is under 0.5, since a row that is out of the bag leaves more of the other class in it:
0.456 (standard deviation 0.138) of 2 x 15 rows of normal noise, 0.494 (0.027) of 2 x 300. The paired test (`paired.py`)
has folds of users and a band of no difference.

References: Random Forests (Breiman, 2001), section 3.1, doi:10.1023/A:1010933404324; the repository 4LAU/MIME-mouse,
evaluate.py of commit 6ce26df (2026).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from trainables.core.config import require
from trainables.eval.features.feature_tables import FakeRows, RealRows, as_pair, equalise, varying

TREES = 100  # a row is in all bags with a chance of 1e-20
MINIMUM_ROWS = 10  # of each sample; an AUC of fewer is a matter of single rows


@dataclass(frozen=True)
class OutOfBagResult:
    """Result of one test over all rows, each scored out of bag."""

    auc: float  # ROC AUC
    accuracy: float  # share of the rows whose likelier class is theirs; balanced, as the classes are equal
    left_out: tuple[str | int, ...]  # columns of one value in all rows of both parts
    degenerate: tuple[str | int, ...]  # columns of one value in the real part alone
    n: int  # rows per class after equalising


def out_of_bag_test(
    real: RealRows, fake: FakeRows, *, seed: int = 0, columns: Sequence[str] | None = None
) -> OutOfBagResult:
    """Score real and fake rows out of bag, on one thread; the same arguments give the same result.

    The larger sample is cut to the size of the smaller by a seeded choice; columns of one value in all rows are left
    out, and `columns` gives names.

    Raises:
        ValueError: Non-finite values (naming row and column), or tables of unlike columns.
        ConfigError: Fewer than `MINIMUM_ROWS` rows in either sample.
    """
    x_real, x_fake = as_pair(real, fake, columns)
    fewest = min(len(x_real), len(x_fake))
    require(fewest >= MINIMUM_ROWS, f"`rows of each sample >= {MINIMUM_ROWS}`", str(fewest), "give more movements")
    kept = varying(x_real, x_fake, columns=columns)
    a, b = equalise(x_real, x_fake, seed)
    x, y = np.concatenate([x_real[a], x_fake[b]])[:, kept.columns], np.repeat([0, 1], len(a))
    forest = RandomForestClassifier(TREES, oob_score=True, random_state=seed, n_jobs=1)
    with threadpool_limits(limits=1):
        forest.fit(x, y)
    auc = roc_auc_score(y, forest.oob_decision_function_[:, 1])
    return OutOfBagResult(float(auc), float(forest.oob_score_), kept.left_out, kept.degenerate, len(a))
