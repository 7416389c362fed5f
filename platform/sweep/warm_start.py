"""Begin a study with what another one found: `warm_start=STUDY`.

Where both studies are comparable (data, configuration, objectives, constraints), the COMPLETE trials of the other one
that lie in the space become prior observations: the sampler learns from them, while they count towards no budget, rank
nowhere and have no checkpoints here. Otherwise the best trials of the other study are the first points that are tried.
"""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from rich.console import Console

from platform.core.console import print_line
from platform.study.comparable import REMEDY, require_comparable
from platform.study.ranking import current_names, ranking
from platform.study.resume import METRICS, PRIOR, REPEATS
from platform.study.search_space import contains, value_at
from platform.study.study import load_study
from platform.study.sweep import Sweep
from platform.sweep.points import enqueue_points
from search_spaces import Space
from trainables.core.config import ConfigError

FIRST = 3  # of the best trials, where they are tried again


def source_study(sweep: Sweep) -> optuna.Study | None:
    """Return the study that `warm_start` names; None where it names none.

    Raises:
        ConfigError: there is no such study, or it is of another trainable.
    """
    settings = sweep.settings
    if not settings.warm_start:
        return None
    source = load_study(settings.folder.parent, settings.warm_start, settings.storage)
    trainable = source.user_attrs.get("trainable")
    if trainable != sweep.space.trainable:
        raise ConfigError(
            f"warm_start={settings.warm_start}: expected a study of {sweep.space.trainable}, but got one of {trainable}"
        )
    return source


def warm_start(
    console: Console, sweep: Sweep, study: optuna.Study, source: optuna.Study, record: Mapping[str, Any]
) -> None:
    """Add the prior observations of a study or enqueue its best points, each once, and print what was done.

    Args:
        record: What makes trials of `study` comparable.
    """
    trials, reason = source.get_trials(deepcopy=False), ""
    try:
        require_comparable(source.study_name, current_names(source.user_attrs), record, sweep.space, trials)
    except ConfigError as error:
        reason = str(error).removesuffix(f"; {REMEDY}")
    usable = [trial for trial in trials if _is_observation(trial) and in_space(sweep.space, trial.params)]
    if not reason and usable:
        added = _add_observations(study, source, usable, sweep.space)
        if added:
            print_line(console, f"warm start: {added} completed trial(s) of {source.study_name} as prior observations")
        return
    points = [point_in(sweep, trial.params) for trial in ranking(source) if trial.values][:FIRST]
    added = enqueue_points(study, [point for point in points if in_space(sweep.space, point)])
    if added:
        why = reason or "no completed trial lies in the search space"
        print_line(console, f"warm start: the best {added} point(s) of {source.study_name} are tried first ({why})")


def _is_observation(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE and REPEATS not in trial.user_attrs and PRIOR not in trial.user_attrs


def in_space(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether parameters are those that are active in a space, each within its distribution."""
    active = {key for key in space.parameters if space.active(key, params)}
    return set(params) == active and all(contains(space.parameters[key], params[key]) for key in active)


def point_in(sweep: Sweep, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters on the keys of the space; one that was not searched there has its configured value."""
    point = dict[str, Any]()
    for key in sweep.space.parameters:
        if sweep.space.active(key, point):
            point[key] = params[key] if key in params else value_at(sweep.trainable, key)
    return point


def _add_observations(study: optuna.Study, source: optuna.Study, trials: list[FrozenTrial], space: Space) -> int:
    """Add trials of another study, each once; returns how many were new."""
    known = {tuple(trial.user_attrs.get(PRIOR, ())) for trial in study.get_trials(deepcopy=False)}
    new = [trial for trial in trials if (source.study_name, trial.number) not in known]
    for trial in new:
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=trial.values,
                params=trial.params,
                distributions={key: space.parameters[key] for key in trial.params},
                constraints=dict(trial.constraints),
                user_attrs={PRIOR: [source.study_name, trial.number], METRICS: trial.user_attrs.get(METRICS, {})},
            )
        )
    return len(new)
