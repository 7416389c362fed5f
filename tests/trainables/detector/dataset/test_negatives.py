"""Properties of the negatives: exact counts, conditions row by row, and the origin of each row."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.serve import published
from tests.trainables.detector.tiny import assert_same_movements, human
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, decode, encode
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import SOURCES, NegativesConfig
from trainables.detector.dataset import negatives
from trainables.detector.dataset.negatives import (
    ROUNDS,
    Negatives,
    ScriptedBots,
    ShortageError,
    apportion,
    conditions_for,
    generated,
    make,
    mixture,
    of_style,
    pool,
    served,
)
from trainables.detector.dataset.served_negatives import ServedMovements
from trainables.training.checkpoint import CheckpointError, load_record

FORM = CanonicalConfig()


@pytest.fixture(scope="module")
def real() -> Canonical:
    return human(60)


@pytest.fixture
def everything(gan: Path, diffusion: Path, physical: Path, folder: Path) -> NegativesConfig:
    """Return a configuration of all sources with different shares."""
    return NegativesConfig(
        bots=3.0,
        gan=1.0,
        diffusion=0.5,
        physical=0.5,
        served=0.25,
        gan_checkpoint=str(gan),
        diffusion_checkpoint=str(diffusion),
        physical_checkpoint=str(physical),
        served_folder=str(folder),
    )


def assert_same(one: Negatives, other: Negatives) -> None:
    assert_same_movements(one.canonical, other.canonical)
    assert (one.style, one.family, one.model, one.refused) == (other.style, other.family, other.model, other.refused)


# counts


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


# conditions


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


def test_samples_keep_the_duration_and_the_user_of_their_row(
    real: Canonical, gan: Path, diffusion: Path, physical: Path
) -> None:
    for rows in (torch.arange(len(real)), torch.tensor([7, 3, 7, 59, 7])):
        like = real.take(rows)
        for kind, checkpoint in (("gan", gan), ("diffusion", diffusion), ("physical", physical)):
            found = generated(kind, checkpoint, FORM, real, rows, 0)
            assert found.canonical.group == like.group
            assert torch.equal(found.canonical.duration_s, like.duration_s)
            assert torch.equal(found.canonical.mask, like.mask)


def test_a_repeated_condition_has_different_samples_within_a_pass_and_the_same_in_the_next(
    real: Canonical, gan: Path
) -> None:
    one = generated("gan", gan, FORM, real, torch.tensor([7, 3, 7, 7]), 0).canonical
    assert len({row.numpy().tobytes() for row in one.deltas}) == 4
    other = generated("gan", gan, FORM, real, torch.tensor([3, 7]), 1).canonical
    assert torch.equal(other.deltas, one.deltas[[1, 0]])


def test_a_generator_is_loaded_and_sampled_once_for_all_passes(
    real: Canonical, everything: NegativesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.cache_clear()
    calls = list[str]()

    def counted(load: Callable[[Path], Any], checkpoint: Path) -> Any:
        calls.append(str(checkpoint))
        return load(checkpoint)

    for kind, load in negatives.LOADERS.items():
        monkeypatch.setitem(negatives.LOADERS, kind, partial(counted, load))
    for seed in range(4):
        assert len(mixture(real, 50, everything, FORM, seed)) == 50
    assert sorted(calls) == sorted(
        [everything.gan_checkpoint, everything.diffusion_checkpoint, everything.physical_checkpoint]
    )


def test_other_weights_at_the_same_path_are_sampled_again(real: Canonical, gan: Path, tmp_path: Path) -> None:
    place, rows = tmp_path / "best", torch.arange(3)
    place.symlink_to(gan)
    one = generated("gan", place, FORM, real, rows, 0)
    other = published.altered(gan, tmp_path / "other", lambda weight: weight * 0.5)
    place.unlink()
    place.symlink_to(other)
    found = generated("gan", place, FORM, real, rows, 0)
    assert found.model != one.model
    assert not torch.equal(found.canonical.deltas, one.canonical.deltas)


def test_negatives_are_in_whole_pixels_at_60_hz_as_recordings_are(real: Canonical, everything: NegativesConfig) -> None:
    found = mixture(real, 60, everything, FORM, seed=1).canonical
    steps_px = decode(found, FORM).steps_px
    assert torch.equal(steps_px, steps_px.round())
    again = encode(decode(found, FORM), FORM)
    torch.testing.assert_close(again.deltas, found.deltas, rtol=0, atol=1e-9)


# the seed


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


# origins


def test_families_that_are_held_out_never_appear(real: Canonical) -> None:
    for held_out in (("windmouse", "lognormal"), ("replay",), tuple(FAMILIES)[1:]):
        config = NegativesConfig(held_out=held_out)
        seen: set[str] = set()
        for seed in range(3):
            found = mixture(real, 60, config, FORM, seed)
            assert all(BOTS[style].family == family for style, family in zip(found.style, found.family, strict=True))
            seen |= set(found.family)
        assert seen == set(FAMILIES) - set(held_out)


def test_styles_have_equal_shares_and_are_mixed(real: Canonical) -> None:
    families = ("straight", "spline", "replay")
    found = ScriptedBots(families, FORM)(real, 0)
    styles = [style for family in families for style in FAMILIES[family]]
    counts = Counter(found.style)
    assert set(counts) == set(styles)
    assert max(counts.values()) - min(counts.values()) <= 1
    changes = sum(one != other for one, other in zip(found.style, found.style[1:], strict=False))
    assert changes > 2 * len(styles)  # in blocks there would be len(styles) - 1


def test_a_row_is_made_by_its_style_under_its_condition(real: Canonical) -> None:
    found = ScriptedBots(("straight", "noise"), FORM)(real, 4)
    for style in set(found.style):
        rows = torch.tensor([row for row, name in enumerate(found.style) if name == style])
        alone = of_style(style, real.take(rows), FORM, 4)
        assert_same_movements(found.canonical.take(rows), alone.canonical)


def test_every_row_records_its_source_and_weights(real: Canonical, everything: NegativesConfig) -> None:
    found = mixture(real, 60, everything, FORM, seed=1)
    hashes = {"served": "a" * 64}
    for kind in ("gan", "diffusion", "physical"):
        hashes[kind] = load_record(Path(getattr(everything, f"{kind}_checkpoint")))["weights_sha256"]
    for style, family, model in zip(found.style, found.family, found.model, strict=True):
        assert family == (BOTS[style].family if style in BOTS else style)
        assert model == hashes.get(style, "")
    account = found.account()
    assert account["models"] == hashes
    assert account["styles"] == Counter(found.style)
    assert account["refused"] == found.refused


# unusable movements


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


def test_another_attempt_has_other_random_numbers(real: Canonical, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an unusable movement would recur."""
    whole, dice = BOTS["straight_constant"], list[float]()

    def generate(rows: Canonical, random: torch.Generator) -> Movements:
        dice.append(float(torch.rand((), generator=random)))
        return broken(whole.generate(rows, random), [] if len(rows) == 1 else [0])

    monkeypatch.setitem(BOTS, "straight_constant", replace(whole, generate=generate))
    assert of_style("straight_constant", real, FORM, 0).refused == 1
    assert len(set(dice)) == 2


# sources that are refused


def test_a_generator_of_another_form_or_kind_is_refused(real: Canonical, gan: Path, diffusion: Path) -> None:
    rows = torch.arange(2)
    with pytest.raises(ConfigError, match=r"^expected the canonical form of the generator to be the detector's,"):
        generated("gan", gan, CanonicalConfig(sequence_length=65), real, rows, 0)
    with pytest.raises(CheckpointError, match=r"kind `gan`, but got diffusion$"):
        generated("gan", diffusion, FORM, real, rows, 0)
    with pytest.raises(CheckpointError, match=r"kind `diffusion`, but got gan$"):
        generated("diffusion", gan, FORM, real, rows, 0)
    with pytest.raises(CheckpointError, match="no such file"):
        generated("gan", gan / "nothing", FORM, real, rows, 0)


def test_served_movements_are_sampled_without_replacement(
    real: Canonical, folder: Path, stored: ServedMovements
) -> None:
    known = {row.numpy().tobytes() for row in stored.canonical.deltas}
    found = [served(folder, FORM, real.take(torch.arange(20)), seed).canonical.deltas for seed in (0, 1)]
    drawn = [{row.numpy().tobytes() for row in deltas} for deltas in found]
    assert all(len(rows) == 20 and rows <= known for rows in drawn)
    assert drawn[0] != drawn[1]
    whole = served(folder, FORM, real.take(torch.arange(30)), 0)
    assert {row.numpy().tobytes() for row in whole.canonical.deltas} == known
    assert whole.model == (stored.model_sha256,) * 30


def test_too_few_served_movements_are_an_error(real: Canonical, folder: Path) -> None:
    with pytest.raises(ShortageError, match=rf"expected `served movements >= 31`, but {folder} has 30; fetch more"):
        served(folder, FORM, real.take(torch.arange(31)), 0)
    with pytest.raises(ConfigError, match=rf"^expected the canonical form of {folder} to be the detector's"):
        served(folder, CanonicalConfig("events"), real, 0)


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
