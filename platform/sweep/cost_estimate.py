"""Estimate the cost of a sweep from measurements at the cheapest and the most expensive corner of its space."""

from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from platform.promotion.config import ENOUGH_DRAWS
from platform.study.noise import LEVEL, POWER, Noise
from platform.study.samplers import FROM_COMPLETE
from platform.study.search_space import bounds
from platform.study.sweep import Sweep
from trainables.core.config import build, with_values
from trainables.core.formatting import clock
from trainables.core.threads import threads
from trainables.specs import TRAINABLES
from trainables.training.trainable import Cost

FEWEST_SEEDS = 2  # of a configuration, from which on its noise is known


@dataclass(frozen=True)
class Plan:
    """Seconds of a sweep whose trials run `concurrent` side by side.

    Attributes:
        trial_s: One trial that is not pruned, at the cheapest and the most expensive corner of the space.
        steps: Its optimisation steps, at the same corners.
        sweep_s: All remaining trials under successive halving, at the mean of the two corners.
        finalists_s: Repeats and re-evaluations of the best trials; at the most expensive corner.
        promotion_s: Evaluations of challenger and champion, one after the other; at the most expensive corner.
    """

    remaining: int
    concurrent: int
    trial_s: tuple[float, float]
    steps: tuple[int, int]
    sweep_s: float
    finalists_s: float
    promotion_s: float
    disk_bytes: int


def make_plan(sweep: Sweep, remaining: int, concurrent: int) -> Plan:
    """Measure both corners and sum up the remaining trials."""
    with threads(sweep.settings.scaling.cpus_per_worker):
        corners = [_measure(sweep, corner) for corner in (min, max)]
    checkpoint = corners[1].checkpoint_of(max(sweep.settings.scaling.num_workers, 1))
    mean_epochs = expected_epochs(sweep)
    trial_s = [cost.evaluation_s + sweep.epochs * cost.epoch_s for cost in corners]
    mean_s = sum(cost.evaluation_s + mean_epochs * cost.epoch_s for cost in corners) / 2
    return Plan(
        remaining,
        concurrent,
        (trial_s[0], trial_s[1]),
        (sweep.epochs * corners[0].steps_per_epoch, sweep.epochs * corners[1].steps_per_epoch),
        remaining * mean_s / concurrent,
        _finalists_s(sweep, trial_s[1], corners[1].evaluation_s) / concurrent,
        2 * 2 * ENOUGH_DRAWS * corners[1].evaluation_s,  # two sides, two kinds of conditions
        2 * remaining * checkpoint,  # Tune writes the next one before it deletes the last
    )


def _finalists_s(sweep: Sweep, trial_s: float, evaluation_s: float) -> float:
    """Return the seconds on one core of repeats, and of one evaluation per seed, split and kind of conditions."""
    finalists = sweep.settings.finalists
    default = 1 if finalists.retrain_seeds and sweep.default is not None else 0
    return (finalists.top + default) * (finalists.retrain_seeds * trial_s + 4 * finalists.eval_seeds * evaluation_s)


def _measure(sweep: Sweep, corner: Any) -> Cost:
    spec = TRAINABLES[sweep.space.trainable]
    values = {key: _corner(distribution, corner) for key, distribution in sweep.space.parameters.items()}
    return spec.load().measure(build(spec.config, with_values(sweep.trainable, values), at="trainable"))


def _corner(distribution: BaseDistribution, corner: Any) -> Any:
    """Return the smallest or largest value of a distribution; the first of choices without an order."""
    values = bounds(distribution)
    numbers = all(isinstance(value, int | float) for value in values)
    return corner(values) if numbers or not isinstance(distribution, CategoricalDistribution) else values[0]


def expected_epochs(sweep: Sweep) -> float:
    """Return the mean epochs of a trial if one in `reduction_factor` passes each rung; new rungs let more pass."""
    scheduler = sweep.settings.scheduler
    keep, mean, before = 1.0, 0.0, 0
    for rung in [*[rung for rung in scheduler.rungs(sweep.epochs) if rung < sweep.epochs], sweep.epochs]:
        mean += keep * (rung - before)
        keep, before = keep / scheduler.reduction_factor, rung
    return mean


def describe_plan(plan: Plan, sweep: Sweep, noise: Noise | None = None) -> str:
    """Return the plan as aligned lines.

    Args:
        noise: Of the first objective between trainings of one configuration; None: not known.
    """
    settings = sweep.settings
    rungs = ", ".join(map(str, settings.scheduler.rungs(sweep.epochs))) or "none"
    finalists = settings.finalists
    low, high = (clock(seconds) for seconds in plan.trial_s)
    lines = {
        "study": f"{settings.study_name} in {settings.folder}",
        "searched": ", ".join(sweep.space.parameters),
        "fixed": ", ".join(sweep.fixed) or "none",
        **_baselines(sweep),
        "trials": f"{plan.remaining} to run of {settings.budget.trials}, {plan.concurrent} at a time, "
        f"sampler {settings.sampler}",
        **_learns_from(sweep),
        "full trial": f"{sweep.epochs} epochs, {plan.steps[0]:,} to {plan.steps[1]:,} steps, {low} to {high}",
        "halving": f"rungs at epochs {rungs}; one in {settings.scheduler.reduction_factor:g} continues",
        "time": f"about {clock(plan.sweep_s)}; stopped at {settings.budget.time_limit}",
        "finalists": f"top {finalists.top}{_and_default(sweep)}, each retrained with {finalists.retrain_seeds} and "
        f"evaluated with {finalists.eval_seeds} new seeds, about {clock(plan.finalists_s)}",
        "promotion": f"{ENOUGH_DRAWS} draws of the noise for challenger and champion each, about "
        f"{clock(plan.promotion_s)}; not part of the sweep",
        "disk": f"at most {min(plan.disk_bytes, settings.budget.disk_bytes) / 1e6:,.0f} MB of checkpoints, "
        f"budget.disk={settings.budget.disk}",
        "power": power_of(noise, finalists.retrain_seeds, sweep.goal.objectives[0].text),
    }
    width = max(map(len, lines))
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in lines.items())


def _learns_from(sweep: Sweep) -> dict[str, str]:
    """Return the line about a sampler that learns nothing from PRUNED trials; empty for others."""
    settings = sweep.settings
    if settings.sampler not in FROM_COMPLETE or not settings.scheduler.rungs(sweep.epochs):
        return {}
    share = settings.scheduler.reduction_factor ** -sum(
        rung < sweep.epochs for rung in settings.scheduler.rungs(sweep.epochs)
    )
    return {
        "sampler": f"{settings.sampler} learns from COMPLETE trials only, about "
        f"{settings.budget.trials * share:.0f} of {settings.budget.trials}; before "
        f"{FROM_COMPLETE[settings.sampler]} of them it samples at random"
    }


def _and_default(sweep: Sweep) -> str:
    return " and the default" if sweep.settings.finalists.retrain_seeds and sweep.default is not None else ""


def power_of(noise: Noise | None, seeds: int, objective: str) -> str:
    """Return the smallest gain over the default that so many retrainings of each configuration can show, in words."""
    if seeds < FEWEST_SEEDS:
        return (
            f"no gain over the default can be shown: finalists.retrain_seeds={seeds}, and the search estimate of the "
            "best trial is too good by its luck; budget=standard trains the finalists and the default anew"
        )
    if noise is None:
        return f"not known before {objective} has the noise of repeats, of which this study has none yet"
    return (
        f"a gain of {noise.smallest_gain(seeds):.3f} in {objective} over the default is shown with "
        f"{100 * POWER:.0f} % probability ({seeds} seeds each, two-sided t at {100 * (1 - LEVEL):.0f} %, "
        f"s.d. {noise.sd:.3f}: {noise.source})"
    )


def _baselines(sweep: Sweep) -> dict[str, str]:
    """Return the line about baselines that are left out; empty where there are none."""
    left_out = sweep.left_out
    if not left_out:
        return {}
    total = len(sweep.space.baselines) + len(left_out)
    outside = [f"{key}={value}" for values in left_out for key, value in values.items()]
    lie = "lies outside of the distribution" if len(outside) == 1 else "lie outside of the distributions"
    return {"baselines": f"{len(left_out)} of {total} left out: {', '.join(outside)} {lie}"}
