"""Properties of a mixture of negatives: exact counts, the seed, and the origin of each row."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.detector.tiny import assert_same_movements
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, decode, encode
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import SOURCES, NegativesConfig
from trainables.detector.dataset.mixture import apportion, conditions_for, mixture
from trainables.detector.dataset.negatives import Negatives
from trainables.training.checkpoint import load_record

FORM = CanonicalConfig()


def assert_same(one: Negatives, other: Negatives) -> None:
    assert_same_movements(one.canonical, other.canonical)
    assert (one.style, one.family, one.model, one.refused) == (other.style, other.family, other.model, other.refused)


def by_largest_remainder(count: int, shares: dict[str, float]) -> dict[str, int]:
    """Apportion in exact arithmetic, one by one."""
    total = sum(Fraction(share) for share in shares.values())
    exact = {name: count * Fraction(share) / total for name, share in shares.items()}
    counts = {name: value.__floor__() for name, value in exact.items()}
    while sum(counts.values()) < count:
        worst = max(exact[name] - counts[name] for name in shares)
        counts[next(name for name in shares if exact[name] - counts[name] == worst)] += 1
    return counts


def test_shares_become_counts_by_largest_remainders_without_loss() -> None:
    random = generator(0, "shares")
    for _ in range(300):
        names = [f"s{k}" for k in range(int(torch.randint(1, 6, (), generator=random)))]
        eighths = torch.randint(0, 9, (len(names),), generator=random).tolist()  # exact in floating point
        shares = {name: share / 8 for name, share in zip(names, eighths, strict=True)}
        count = int(torch.randint(0, 2000, (), generator=random))
        if sum(shares.values()):
            found = apportion(count, shares)
            assert sum(found.values()) == count
            assert found == by_largest_remainder(count, shares)
            assert all(found[name] == 0 for name, share in shares.items() if share == 0)


@pytest.mark.parametrize("count", [0, 1, 3, 10, 1166, 100_003])
def test_shares_that_floating_point_cannot_represent_lose_none_either(count: int) -> None:
    for shares in ({"a": 0.1, "b": 0.2, "c": 0.7}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 1e-9, "b": 1e9}):
        found = apportion(count, shares)
        assert sum(found.values()) == count
        for name, share in shares.items():
            assert abs(found[name] - count * share / sum(shares.values())) < 1 + 1e-6


def test_ties_are_resolved_in_the_order_of_the_names() -> None:
    assert apportion(2, {"b": 1.0, "a": 1.0, "c": 1.0}) == {"b": 1, "a": 1, "c": 0}


@pytest.mark.parametrize("count", [0, 1, 7, 60, 61, 150])
def test_each_human_movement_is_a_condition_as_often_as_any_other_or_once_more(real: Canonical, count: int) -> None:
    numbered = replace(real, group=tuple(str(row) for row in range(len(real))))
    like = conditions_for(numbered, count, generator(0, "conditions"))
    assert len(like) == count
    times = Counter(like.group)
    least = count // len(real)
    assert {times[name] for name in numbered.group} <= {least, least + 1}
    for row in range(count):
        original = real.take(torch.tensor([int(like.group[row])]))
        assert torch.equal(like.deltas[row], original.deltas[0])
        assert like.distance_px[row] == original.distance_px[0]


@pytest.mark.parametrize("count", [0, 1, 5, 60, 77])
def test_a_mixture_has_the_requested_count_and_each_source_its_share(
    real: Canonical, everything: NegativesConfig, count: int
) -> None:
    found = mixture(real, count, everything, FORM, seed=1)
    assert len(found) == len(found.style) == len(found.family) == len(found.model) == count
    expected = by_largest_remainder(count, {name: getattr(everything, name) for name in SOURCES})
    sources = Counter(style if style in SOURCES else "bots" for style in found.style)
    assert {name: sources[name] for name in SOURCES} == expected


def test_every_movement_keeps_to_the_condition_of_its_row(real: Canonical) -> None:
    """Steps, distances, directions and users are those of the real movements, exactly."""
    config = NegativesConfig(held_out=())
    found = mixture(real, 2 * len(real), config, FORM, seed=3).canonical
    like = conditions_for(real, 2 * len(real), generator(3, "conditions"))
    assert found.group == like.group
    assert torch.equal(found.mask, like.mask)
    assert torch.equal(found.duration_s, like.duration_s)
    torch.testing.assert_close(found.distance_px, like.distance_px, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.angle, like.angle, rtol=0, atol=1e-9)
    for name in ("distance_px", "duration_s"):
        mine, theirs = getattr(found, name).sort().values, getattr(real, name).repeat(2).sort().values
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)


def test_negatives_are_in_whole_pixels_at_60_hz_as_recordings_are(real: Canonical, everything: NegativesConfig) -> None:
    found = mixture(real, 60, everything, FORM, seed=1).canonical
    steps_px = decode(found, FORM).steps_px
    assert torch.equal(steps_px, steps_px.round())
    again = encode(decode(found, FORM), FORM)
    torch.testing.assert_close(again.deltas, found.deltas, rtol=0, atol=1e-9)


def test_the_seed_decides_every_byte(real: Canonical, everything: NegativesConfig) -> None:
    one = mixture(real, 40, everything, FORM, seed=5)
    torch.rand(7)  # the global random state does not matter
    assert_same(mixture(real, 40, everything, FORM, seed=5), one)
    other = mixture(real, 40, everything, FORM, seed=6)
    for source in SOURCES:
        rows = [
            torch.tensor([(s if s in SOURCES else "bots") == source for s in found.style]) for found in (one, other)
        ]
        mine, theirs = (found.canonical.deltas[row] for found, row in zip((one, other), rows, strict=True))
        assert mine.shape == theirs.shape
        assert not torch.equal(mine, theirs), source


def test_families_that_are_held_out_never_appear(real: Canonical) -> None:
    for held_out in (("windmouse", "lognormal"), ("replay",), tuple(FAMILIES)[1:]):
        config = NegativesConfig(held_out=held_out)
        seen: set[str] = set()
        for seed in range(3):
            found = mixture(real, 60, config, FORM, seed)
            assert all(BOTS[style].family == family for style, family in zip(found.style, found.family, strict=True))
            seen |= set(found.family)
        assert seen == set(FAMILIES) - set(held_out)


def test_every_row_records_its_source_and_weights(real: Canonical, everything: NegativesConfig) -> None:
    found = mixture(real, 60, everything, FORM, seed=1)
    hashes = {"served": "a" * 64}
    for kind in ("gan", "diffusion", "physical", "agent"):
        hashes[kind] = load_record(Path(getattr(everything, f"{kind}_checkpoint")))["weights_sha256"]
    for style, family, model in zip(found.style, found.family, found.model, strict=True):
        assert family == (BOTS[style].family if style in BOTS else style)
        assert model == hashes.get(style, "")
    account = found.account()
    assert account["models"] == hashes
    assert account["styles"] == Counter(found.style)
    assert account["refused"] == found.refused


@pytest.mark.parametrize("source", SOURCES[1:])
def test_a_single_source_makes_all(real: Canonical, everything: NegativesConfig, source: str) -> None:
    shares: dict[str, Any] = {name: float(name == source) for name in SOURCES}
    found = mixture(real, 12, replace(everything, **shares), FORM, seed=0)
    assert set(found.style) == {source}


def rows_of(found: Negatives, source: str) -> Tensor:
    return torch.tensor([row for row, style in enumerate(found.style) if style == source])


def test_sources_are_independent_of_each_other(real: Canonical, everything: NegativesConfig) -> None:
    one = mixture(real, 38, everything, FORM, seed=2)
    other = mixture(real, 38, replace(everything, held_out=("replay",)), FORM, seed=2)
    for source in SOURCES[1:]:
        rows = rows_of(one, source)
        assert len(rows) > 0
        assert_same_movements(one.canonical.take(rows), other.canonical.take(rows))
