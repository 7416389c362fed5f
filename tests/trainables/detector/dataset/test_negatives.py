"""Properties of negatives: unusable movements are made again, counted, and put in their place."""

from dataclasses import replace

import pytest
import torch

from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.mixture import conditions_for, mixture
from trainables.detector.dataset.negatives import ROUNDS, ShortageError, make, of_style

FORM = CanonicalConfig()


def straight(rows: Canonical) -> Movements:
    return BOTS["straight_constant"].generate(rows, generator(0, "here"))


def broken(movements: Movements, rows: list[int]) -> Movements:
    """Return the movements, some of them without displacement."""
    steps_px = movements.steps_px.clone()
    steps_px[rows] = 0.0
    return replace(movements, steps_px=steps_px)


def test_unusable_movements_are_made_again_counted_and_put_in_their_place(real: Canonical) -> None:
    like, requested = real.take(torch.arange(9)), list[tuple[int, list[float]]]()
    faults = {0: [0, 3, 8], 1: [1]}

    def sample(rows: Canonical, attempt: int) -> Movements:
        requested.append((attempt, rows.distance_px.tolist()))
        return broken(straight(rows), faults.get(attempt, []))

    found, refused = make("test", sample, like, FORM)
    assert refused == 4
    distances = like.distance_px.tolist()
    assert requested == [(0, distances), (1, [distances[k] for k in (0, 3, 8)]), (2, [distances[3]])]
    torch.testing.assert_close(found.distance_px, like.distance_px)
    assert torch.equal(found.duration_s, like.duration_s)
    assert found.group == like.group


@pytest.mark.parametrize("fault", ["on the spot", "not finite"])
def test_a_source_with_too_few_movements_is_an_error(real: Canonical, fault: str) -> None:
    attempts = list[int]()

    def sample(rows: Canonical, attempt: int) -> Movements:
        attempts.append(attempt)
        movements = broken(straight(rows), [len(rows) - 1])
        return movements if fault == "on the spot" else replace(movements, steps_px=movements.steps_px / 0.0)

    with pytest.raises(ShortageError) as exc_info:
        make("a source", sample, real.take(torch.arange(5)), FORM)
    assert attempts == list(range(ROUNDS))
    left = 1 if fault == "on the spot" else 5
    assert str(exc_info.value).startswith(
        f"expected 5 movements of `a source`, but {left} of them could not be represented"
    )


def test_nothing_is_sampled_without_conditions(real: Canonical) -> None:
    def sample(rows: Canonical, attempt: int) -> Movements:
        raise AssertionError("sampled")

    found, refused = make("test", sample, real.take(torch.arange(0)), FORM)
    assert (len(found), refused) == (0, 0)


def test_another_attempt_has_other_random_numbers(real: Canonical, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an unusable movement would recur."""
    whole, dice = BOTS["straight_constant"], list[float]()

    def generate(rows: Canonical, random: torch.Generator) -> Movements:
        dice.append(float(torch.rand((), generator=random)))
        return broken(whole.generate(rows, random), [] if len(rows) == 1 else [0])

    monkeypatch.setitem(BOTS, "straight_constant", replace(whole, generate=generate))
    assert of_style("straight_constant", real, FORM, 0).refused == 1
    assert len(set(dice)) == 2


def test_refused_movements_of_all_sources_are_summed(real: Canonical, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = BOTS["straight_constant"]

    def generate(rows: Canonical, random: torch.Generator) -> Movements:
        return broken(whole.generate(rows, random), [0] if len(rows) > 1 else [])

    monkeypatch.setitem(BOTS, "straight_constant", replace(whole, generate=generate))
    config = NegativesConfig(held_out=tuple(name for name in FAMILIES if name != "straight"))
    found = mixture(real, 40, config, FORM, seed=0)
    assert len(found) == 40
    assert found.refused == 1
    like = conditions_for(real, 40, generator(0, "conditions"))
    torch.testing.assert_close(found.canonical.distance_px, like.distance_px)
