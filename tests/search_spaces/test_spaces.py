"""Every space against the trainable that it varies."""

import json
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SPACES, Space
from trainables.core.command import CONFIGS
from trainables.core.config import ConfigError, build, plain, require_laws, with_values
from trainables.specs import TRAINABLES

pytestmark = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
# without effect at weight 0; null in the configuration, which is what they are here
DEFAULT_OTHERWISE = {"contrastive.temperature", "motion.channel", "motion.ends"}


def leaves(node: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Dotted key -> value of a nested mapping."""
    flat: dict[str, Any] = {}
    for name, child in node.items():
        flat |= leaves(child, f"{at}{name}.") if isinstance(child, dict) else {f"{at}{name}": child}
    return flat


def configured(space: Space) -> dict[str, Any]:
    """The configuration of the space's trainable with every default."""
    return plain(TRAINABLES[space.trainable].config())


def samples(law: BaseDistribution) -> list[Any]:
    """Both ends of a law and its middle; every one of its choices."""
    if isinstance(law, CategoricalDistribution):
        return list(law.choices)
    if isinstance(law, IntDistribution):
        return [law.low, law.low + (law.high - law.low) // law.step // 2 * law.step, law.high]
    assert isinstance(law, FloatDistribution)
    return [law.low, (law.low * law.high) ** 0.5 if law.log else (law.low + law.high) / 2, law.high]


def test_its_trainable_exists_with_a_configuration_file(space: Space) -> None:
    assert space.trainable in TRAINABLES
    assert (CONFIGS / "trainable" / f"{space.trainable}.yaml").is_file()


def test_every_key_is_a_value_of_the_trainables_configuration(space: Space) -> None:
    assert set(space.parameters) - set(leaves(configured(space))) == set()


def test_every_distribution_has_more_than_one_value(space: Space) -> None:
    for law in space.parameters.values():
        assert not law.single()


def test_values_of_the_distributions_build_alone_and_together(space: Space) -> None:
    """Each end, middle and choice beside the defaults, and the whole grid of ends."""
    cls, config = TRAINABLES[space.trainable].config, configured(space)
    for key, law in space.parameters.items():
        for value in samples(law):
            build(cls, with_values(config, {key: value}))
    ends = product(*(samples(law)[:: len(samples(law)) - 1] for law in space.parameters.values()))
    require_laws(cls, config, [dict(zip(space.parameters, values, strict=True)) for values in ends])


def test_the_trainable_has_laws_that_a_space_could_break(space: Space) -> None:
    """The other side of the test above: a negative value of any searched number is refused."""
    cls, config = TRAINABLES[space.trainable].config, configured(space)
    for key, law in space.parameters.items():
        if any(isinstance(value, bool) for value in samples(law)):
            continue  # of which every number is one
        with pytest.raises(ConfigError):
            build(cls, with_values(config, {key: -1}))


def test_baselines_are_complete_points_within_the_distributions(space: Space) -> None:
    """Whole: a value for every parameter that is active there, and for no other one."""
    for point in space.baselines:
        assert set(point) == {key for key in space.parameters if space.active(key, point)}
        for key, value in point.items():
            law = space.parameters[key]
            if isinstance(law, CategoricalDistribution):
                assert value in law.choices
            else:
                assert isinstance(law, FloatDistribution | IntDistribution)
                assert isinstance(value, int | float)
                assert law.low <= value <= law.high


def test_a_baseline_of_a_diffusion_is_its_default_configuration(space: Space) -> None:
    """With which a study compares its finalists; of another trainable the plain model stands in its place."""
    config = leaves(configured(space))
    differing = {key for key, value in space.baselines[0].items() if config[key] != value}
    assert space.trainable != "diffusion" or differing <= DEFAULT_OTHERWISE


def test_baselines_survive_the_journal(space: Space) -> None:
    """A study compares an enqueued point with the one that it read back, types included."""
    for point in space.baselines:
        back = json.loads(json.dumps(dict(point)))
        assert {key: (type(value), value) for key, value in back.items()} == {
            key: (type(value), value) for key, value in point.items()
        }


def value_in(space: Space, point: Mapping[str, Any], key: str) -> Any:
    """A value at a point, else as it is configured; 0 where the configuration has no such key."""
    return point.get(key, leaves(configured(space)).get(key, 0))


def test_conditions_name_earlier_parameters_and_values_of_theirs(space: Space) -> None:
    """Earlier parameters decide which later ones are active; each parameter is active somewhere."""
    order = list(space.parameters)
    for key, condition in space.conditions.items():
        assert order.index(condition.key) < order.index(key)
        law = space.parameters[condition.key]
        assert isinstance(law, CategoricalDistribution)
        assert set() < set(condition.values) < set(law.choices)


def test_a_parameter_is_active_where_its_condition_holds_and_always_without_one(space: Space) -> None:
    """By the definition, for every choice of every parameter that others depend on."""
    for key in space.parameters:
        condition = space.conditions.get(key)
        if condition is None:
            assert space.active(key, {})
            continue
        for choice in samples(space.parameters[condition.key]):
            assert space.active(key, {condition.key: choice}) == (choice in condition.values)
        assert not space.active(key, {})


def test_one_baseline_is_the_plain_model(space: Space) -> None:
    """No ranking term, nothing generated in the training set: what every other point must beat."""
    assert any(
        value_in(space, point, "contrastive.weight") == 0 and value_in(space, point, "augmentation.alpha") == 0
        for point in space.baselines
    )
