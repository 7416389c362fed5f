"""Classifiers (probes) of the two-sample test, and the preparation of their input by fold.

Heavy tails are winsorised at quantiles of the training fold, then the columns are scaled by the training fold.
`quadratic` is the default: a plain logistic regression does not detect a variance that collapsed about the right mean,
degree-2 terms do; it needs no tuning and takes milliseconds.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

TAIL = 0.005  # share of the training fold beyond each winsorising quantile

Array = npt.NDArray[np.float64]


class Winsoriser(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Clips each column to its `TAIL` and 1 - `TAIL` quantiles in the data it was fitted to."""

    def fit(self, x: Array, y: object = None) -> "Winsoriser":
        self.low_, self.high_ = np.quantile(x, [TAIL, 1 - TAIL], axis=0)
        return self

    def transform(self, x: Array) -> Array:
        return np.clip(x, self.low_, self.high_)


class FixedBudgetMLP(MLPClassifier):  # type: ignore[misc]  # scikit-learn is untyped
    """MLP that stops at its last epoch by design, without a warning of that, nor of a sample smaller than a batch."""

    def fit(self, x: Array, y: npt.NDArray[np.int64]) -> "FixedBudgetMLP":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", message="Got `batch_size`", category=UserWarning)
            super().fit(x, y)
        return self


def logistic(seed: int) -> Pipeline:
    """Return a logistic regression, which detects differences of the means."""
    return _prepared(LogisticRegression(C=1.0, solver="newton-cholesky", random_state=seed))


def wide(seed: int) -> Pipeline:
    """Return a logistic regression with strong shrinkage, for tables of hundreds of columns."""
    return _prepared(LogisticRegression(C=0.003, solver="newton-cholesky", random_state=seed))


def quadratic(seed: int) -> Pipeline:
    """Return a logistic regression with squares and products, which detects variances and correlations."""
    regression = LogisticRegression(C=1.0, solver="newton-cholesky", random_state=seed)
    return _prepared(PolynomialFeatures(degree=2, include_bias=False), StandardScaler(), regression)


def mlp(seed: int) -> Pipeline:
    """Return an MLP of one hidden layer of 64 units, 40 epochs, strong weight decay."""
    return _prepared(FixedBudgetMLP((64,), alpha=1.0, batch_size=64, max_iter=40, random_state=seed))


def forest(seed: int) -> Pipeline:
    """Return a random forest of 100 trees with at least 5 samples in a leaf."""
    return _prepared(RandomForestClassifier(100, min_samples_leaf=5, random_state=seed, n_jobs=1))


def boosting(seed: int) -> Pipeline:
    """Return histogram gradient boosting of 100 shallow trees."""
    return _prepared(HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=15, random_state=seed))


def _prepared(*steps: Any) -> Pipeline:
    """Return the steps after winsoriser and scaler, all fitted on the training fold alone."""
    return make_pipeline(Winsoriser(), StandardScaler(), *steps)


PROBES: Mapping[str, Callable[[int], Pipeline]] = {
    "logistic": logistic,
    "wide": wide,
    "quadratic": quadratic,
    "mlp": mlp,
    "forest": forest,
    "boosting": boosting,
}
