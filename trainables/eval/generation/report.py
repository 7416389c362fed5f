"""Numbers of an evaluation report: every metric of real against fake movements, each beside its reference.

An AUC stands beside that of other users, an accuracy beside that of real halves against each other, a discrepancy
beside its permutation p-value, a distance between distributions beside that of chance, and the distance to the training
movements beside that of held-out users.

`METRICS` holds the metrics that can be chosen. `CHECKS` are part of every evaluation, or state why they are missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import ks_2samp
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.data.config import MEASURED_CONDITIONS, RATE_HZ
from trainables.data.users import effective_users, largest_share
from trainables.eval.features.kinematic import FEATURES
from trainables.eval.features.spectral import BANDS, SHARE_FLOOR, TAIL_BANDS, TAIL_FROM, band_shares, velocity_spectra
from trainables.eval.generation.comparison import Comparison, Pairs, PairsOfSource
from trainables.eval.generation.condition_error import condition_errors
from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.eval.generation.memorisation import QUANTILE, TrainingPaths
from trainables.eval.generation.probes import ProbeTests
from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import Statistic, interval, jackknife
from trainables.eval.metrics import (
    classifier_two_sample_test,
    density_coverage,
    median_distance,
    mmd_rbf,
    mmd_test,
    null_band,
    prd,
    precision_recall,
)
from trainables.eval.two_sample.c2st import random_halves
from trainables.eval.two_sample.mmd import TEST_ROWS

KS_CRITICAL = 1.358  # of sqrt(n m / (n + m)) KS: exceeded with 5 % chance by equal distributions, rows independent
GRID = torch.arange(1, 33, dtype=torch.float64) / 32  # frequencies of the spectra, of Nyquist

PAIRS: dict[tuple[str, str], Callable[..., tuple[float, float]]] = {
    ("prd_precision", "prd_recall"): prd,
    ("precision", "recall"): precision_recall,
    ("density", "coverage"): density_coverage,
}

Numbers = dict[str, Any]
OfPairs = Callable[[ProbeTests, Indices], float]
"""Statistic of the rows of one source."""


def probe_tests(comparison: Comparison) -> Numbers:
    """Return the C2ST of every probe with its null band, from random real halves of N/2 rows each."""
    config, (real, fake) = comparison.config, comparison.features
    groups, fold = comparison.real.group, {"folds": config.folds, "seed": config.seed}
    numbers: Numbers = {"folds": "by user" if comparison.paired else "real by user, fake by movement"}
    for probe in config.probes:
        result = classifier_two_sample_test(
            real, fake, real_groups=groups, fake_groups=comparison.fake_groups, probe=probe, columns=FEATURES, **fold
        )
        band = null_band(real, groups=groups, probe=probe, repeats=config.null_repeats, **fold)
        numbers[probe] = {**asdict(result), "null": asdict(band)}
    return numbers


def paired_probes(comparison: Comparison) -> Numbers:
    """Return the AUC of the headline's probes between pairs, each with its floor, interval over users and band.

    A pair is a real movement and the sample made under its conditions; of samples that name no real movement, the one
    of nearest duration and distance. Floors need movements of training users of the same sources, one per real one. Of
    several sources the figures are means over sources, and those of each stand beside them.
    """
    found = comparison.pairs
    owners, repeats = found.real.group, comparison.config.null_repeats
    folds_by = {scores.folds_by for part in found.by_source.values() for scores in part.tests.scores.values()}
    numbers: Numbers = {"pairs": len(owners), "by": "conditions" if comparison.in_pairs else "nearest condition"}
    numbers |= {"folds_by": " or ".join(sorted(folds_by)), **_account(owners), **_tests(found.mean, found, owners)}
    if len(found.by_source) > 1:
        numbers["by_source"] = {
            source: {"pairs": len(of.real), **_account(of.real.group), **_tests(_alone(of), found, of.real.group)}
            for source, of in found.by_source.items()
        }
    if not found.has_floors:
        return {**numbers, "floor_not_measured": found.reason}
    return {**numbers, "no_difference": asdict(found.no_difference(repeats))}


def _account(owners: Sequence[str]) -> Numbers:
    """Return what figures of these users' movements rest on."""
    sizes = {"effective_users": effective_users(owners), "largest_share": largest_share(owners)}
    return {"users": len(set(owners)), **sizes}


def _alone(of: PairsOfSource) -> Callable[[OfPairs], Statistic]:
    return lambda statistic: partial(statistic, of.tests)


def _tests(over: Callable[[OfPairs], Statistic], found: Pairs, owners: Sequence[str]) -> Numbers:
    """Return AUC, accuracy, floor and excess of each probe, and the largest excess, with intervals over users.

    Args:
        over: Makes a statistic of row numbers of one of the pairs of a source.
    """
    numbers, rows = Numbers(), np.arange(len(owners))
    for name in HEADLINE_PROBES:
        auc, accuracy, floor, excess = (
            over(partial(statistic, probe=name))
            for statistic in (ProbeTests.auc, ProbeTests.accuracy, ProbeTests.floor, ProbeTests.excess)
        )
        numbers[name] = {"auc": _over_users(auc, owners), "accuracy": accuracy(rows)}
        if found.has_floors:
            numbers[name] |= {"floor": floor(rows), "excess": _over_users(excess, owners)}
    if found.has_floors:
        numbers["excess"] = _over_users(over(ProbeTests.largest_excess), owners)
    return numbers


def _over_users(statistic: Statistic, owners: Sequence[str]) -> Numbers:
    """Return a figure with its 95 % interval, jackknifed over users."""
    return asdict(interval(jackknife(statistic, owners, sorted(set(owners)))))


def discrepancy(comparison: Comparison) -> Numbers:
    """Return the unbiased MMD^2 with its permutation p-value; sigma is the median distance between real movements.

    Paired samples are permuted user by user; others movement by movement, which assumes independence. The test has
    `TEST_ROWS` rows at most: a seeded choice of more rows is tested, and `rows_tested` is their number.
    """
    (real, (fake,)), config = (comparison.scaled.real, comparison.scaled.others), comparison.config
    sigma, most = median_distance(real), TEST_ROWS // 2
    rows = [_chosen(len(part), most, config.seed) for part in (real, fake)]
    owners = (comparison.real.group, comparison.fake_groups) if comparison.paired else (None, None)
    groups = [None if own is None else [own[i] for i in r.tolist()] for own, r in zip(owners, rows, strict=True)]
    test = mmd_test(
        real[rows[0]],
        fake[rows[1]],
        sigma,
        real_groups=groups[0],
        fake_groups=groups[1],
        permutations=config.permutations,
        seed=config.seed,
    )
    return {
        "mmd": mmd_rbf(real, fake, sigma),
        "sigma": sigma,
        "p_value": test.p_value,
        "permutations": test.permutations,
        "permuted": "users" if comparison.paired else "movements",
        "rows_tested": [len(r) for r in rows],
        "n": [len(real), len(fake)],
    }


def _chosen(count: int, most: int, seed: int) -> Tensor:
    order = torch.randperm(count, generator=generator(seed, "rows of the permutation test"))
    return order[:most].sort().values


def precision_and_recall(comparison: Comparison) -> Numbers:
    """Return PRD, improved precision and recall, density and coverage, on the scale of the real movements.

    `null` holds the same of random real halves, N/2 rows each: the values of a perfect generator.
    """
    real, (fake,), config = comparison.scaled.real, comparison.scaled.others, comparison.config
    rng, null = np.random.default_rng(config.seed), []
    for _ in range(config.null_repeats):
        first, second = random_halves(rng, len(real), comparison.real.group)
        null.append(_pairs(real[first], real[second], config.seed))
    floor = {name: float(np.mean([one[name] for one in null])) for name in null[0]}
    return {**_pairs(real, fake, config.seed), "null": floor, "n": min(len(real), len(fake))}


def _pairs(real: Float[Tensor, "N F"], fake: Float[Tensor, "M F"], seed: int) -> dict[str, float]:
    found = {names: metric(real, fake, seed=seed) for names, metric in PAIRS.items()}
    return {name: value for names, pair in found.items() for name, value in zip(names, pair, strict=True)}


def kinematics(comparison: Comparison) -> Numbers:
    """Return mean and s.d. of every feature, the standardised difference (in s.d. of the real) and the KS distance."""
    real, fake = comparison.features
    n, m = len(real), len(fake)
    numbers: Numbers = {"ks_5_percent": KS_CRITICAL * ((n + m) / (n * m)) ** 0.5}
    for column, name in enumerate(FEATURES):
        numbers[name] = _compared(real[:, column], fake[:, column], name in comparison.scaled.left_out)
    return numbers


def _compared(real: Float[Tensor, "N"], fake: Float[Tensor, "M"], constant: bool) -> Numbers:
    difference = fake.mean() - real.mean()
    return {
        "real_mean": real.mean().item(),
        "real_std": real.std().item(),
        "fake_mean": fake.mean().item(),
        "fake_std": fake.std().item(),
        "standardised_difference": None if constant else (difference / real.std()).item(),
        "ks": float(ks_2samp(real.numpy(), fake.numpy(), method="asymp").statistic),
    }


def spectra(comparison: Comparison) -> Numbers:
    """Return `spectra_of` the movements that are compared."""
    return spectra_of(comparison.real, comparison.fake)


def spectra_of(real: Canonical, fake: Canonical) -> Numbers:
    """Return the mean spectral density of the velocity with its quartiles, the power by band, and the tail.

    Band and tail are mean shares of the power; a log10 ratio of fake to real of 0.1 is 26 % too much power.
    """
    parts = {"real": real, "fake": fake}
    shares = {name: band_shares(part.deltas, part.mask) for name, part in parts.items()}
    tails = {name: share[:, -TAIL_BANDS:].sum(dim=1) for name, share in shares.items()}
    return {
        "frequency_hz": (GRID * RATE_HZ / 2).tolist(),
        **{name: _density(part) for name, part in parts.items()},
        "bands_hz": [band / BANDS * RATE_HZ / 2 for band in range(BANDS + 1)],
        **{f"{name}_band_shares": share.mean(dim=0).tolist() for name, share in shares.items()},
        "band_log10_ratios": _log_ratio(shares).tolist(),
        "tail": {
            "from_hz": TAIL_FROM * RATE_HZ / 2,
            **{f"{name}_share": tail.mean().item() for name, tail in tails.items()},
            "log10_ratio": _log_ratio(tails).item(),
            "ks": float(ks_2samp(tails["real"].numpy(), tails["fake"].numpy(), method="asymp").statistic),
        },
    }


def _density(part: Canonical) -> Numbers:
    density = velocity_spectra(part.deltas, part.mask, GRID)
    low, middle, high = density.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64), dim=0)
    mean = density.mean(dim=0)
    return {"mean": mean.tolist(), "q25": low.tolist(), "median": middle.tolist(), "q75": high.tolist()}


def _log_ratio(shares: Mapping[str, Tensor]) -> Tensor:
    fake, real = (shares[name].mean(dim=0) + SHARE_FLOOR for name in ("fake", "real"))
    return (fake / real).log10()


METRICS: dict[str, Callable[[Comparison], Numbers]] = {
    "probes": paired_probes,
    "c2st": probe_tests,
    "mmd": discrepancy,
    "prd": precision_and_recall,
    "kinematics": kinematics,
    "spectra": spectra,
}


def memorisation(comparison: Comparison) -> Numbers:
    """Return the distance of fake movements to the training movements, against that of the real ones.

    Raises:
        ConfigError: Half of the real movements are in the training split, so that they are no reference.
    """
    training, real, fake = comparison.training, comparison.real, comparison.fake
    try:
        paths = TrainingPaths.fit(training.deltas, training.mask, real.deltas, real.mask)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    found = asdict(paths(fake.deltas, fake.mask))
    return {**found, "reference_median": paths.reference.median().item(), "reference_share": QUANTILE}


def conditions(comparison: Comparison) -> Numbers:
    """Return requested against produced conditions by measured column, or why they are not measured."""
    if comparison.requested is None:
        return {"not_measured": "the samples name no conditions"}
    requested, std = (
        comparison.requested[:, : len(MEASURED_CONDITIONS)],
        comparison.training.measured_condition().std(dim=0),
    )
    errors = condition_errors(requested, comparison.fake.measured_condition(), std, MEASURED_CONDITIONS)
    mean = sum(error.median_absolute_sd for error in errors) / len(errors)
    return {"mean_median_absolute_sd": mean, **{error.name: asdict(error) for error in errors}}


CHECKS: dict[str, Callable[[Comparison], Numbers]] = {"memorisation": memorisation, "conditions": conditions}
