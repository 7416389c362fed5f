"""What makes the trials of a study comparable: data, configuration, objectives; and whether one code trained them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from platform.study.ranking import CONSTRAINTS, OBJECTIVES, SCHEDULER_METRIC
from search_spaces import Space
from trainables.core.config import ConfigError, digest
from trainables.core.config_differences import differences, listed
from trainables.specs import TRAINABLES

CONFIG = "config"
CONFIG_HASH = "config_hash"
PLACES = ("data.path", "data.sources")  # where recordings are
COMPARABLE = ("data_sha256", OBJECTIVES, CONSTRAINTS, SCHEDULER_METRIC)
MADE_WITH = "made_with"  # provenance of a trial: code, versions, data, sampler and its seed
CODE_SHA256 = "code_sha256"  # in it
REMEDY = "choose another study_name or restore the old configuration, since its trials were trained with it"


def config_hash(config: Mapping[str, Any], searched: Collection[str]) -> str:
    """Return the hash of a configuration and of the keys that a space searches."""
    return digest({"config": config, "searched": sorted(searched)})


def require_comparable(
    name: str, recorded: Mapping[str, Any], record: Mapping[str, Any], space: Space, trials: Sequence[FrozenTrial]
) -> None:
    """Raise `ConfigError` where new trials could not be compared with those of a study.

    A configuration may have keys that the study does not record, because they are newer: at their defaults. Where the
    recordings are may differ: that they are the same ones is known by their hash.

    Args:
        recorded: Attributes of the study.
        record: Those of the present command.
        trials: Of the study.
    """
    for key in COMPARABLE:
        if key in record and recorded.get(key, record[key]) != record[key]:
            raise ConfigError(
                f"study_name={name}: expected the {key} of the study, {recorded[key]}, but got {record[key]}; {REMEDY}"
            )
    if CONFIG_HASH not in record or recorded.get(CONFIG_HASH, record[CONFIG_HASH]) == record[CONFIG_HASH]:
        return
    differing = [*_searched_otherwise(recorded, space, trials), *_differences(recorded, record, space)]
    if differing:
        raise ConfigError(
            f"study_name={name}: expected the configuration of the study, but got {listed(differing)}; {REMEDY}"
        )


def _searched_otherwise(recorded: Mapping[str, Any], space: Space, trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """Yield what is searched now and was not then, or the other way round."""
    if config_hash(recorded[CONFIG], space.parameters) == recorded[CONFIG_HASH]:
        return
    there = {key for trial in trials for key in trial.distributions}
    yield from (f"trainable.{key} searched (there: fixed)" for key in space.parameters if key not in there)
    yield from (f"trainable.{key} fixed (there: searched)" for key in sorted(there - space.parameters.keys()))


def _differences(recorded: Mapping[str, Any], record: Mapping[str, Any], space: Space) -> Iterator[str]:
    """Yield each key of the configuration with its present value and that of the study."""
    for found in sorted(differences(TRAINABLES[space.trainable].config, recorded[CONFIG], record[CONFIG])):
        if found.key not in (*space.parameters, *PLACES):
            yield f"trainable.{found}"


def other_code(trials: Sequence[FrozenTrial], code_sha256: str) -> list[int]:
    """Return the numbers of the trials that other code trained; those of earlier versions, which record none, too."""
    made = {trial.number: trial.user_attrs[MADE_WITH] for trial in trials if MADE_WITH in trial.user_attrs}
    return [number for number, facts in made.items() if facts.get(CODE_SHA256) != code_sha256]
