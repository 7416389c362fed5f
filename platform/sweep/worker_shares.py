"""Refuse, before anything starts, values of a sweep that the workers of a trial cannot share."""

from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, IntDistribution

from platform.study.search_space import bounds
from platform.study.sweep import Sweep
from trainables.core.config import build, with_values
from trainables.specs import TRAINABLES


def require_shares(sweep: Sweep) -> None:
    """Raise `ConfigError` where the workers of some trial of a sweep could not share its work.

    Work is shared by division: where workers divide the first two numbers of a range and its last, they divide all of
    them. Each value is tried beside the first ones of the other keys.
    """
    spec, workers = TRAINABLES[sweep.space.trainable], max(sweep.settings.scaling.num_workers, 1)
    check = spec.load().require_shares
    for values in _points(sweep.space.parameters):
        check(build(spec.config, with_values(sweep.trainable, values), at="trainable"), workers)


def _points(parameters: Mapping[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
    """Yield points of a space, each with another value of one parameter than the first point has."""
    first = {key: bounds(distribution)[0] for key, distribution in parameters.items()}
    for key, distribution in parameters.items():
        yield from ({**first, key: value} for value in (*bounds(distribution), *_second(distribution)))


def _second(distribution: BaseDistribution) -> Iterator[int]:
    """Yield the second number of a range of whole numbers; none of other distributions."""
    if isinstance(distribution, IntDistribution):
        yield min(distribution.low + distribution.step, distribution.high)
