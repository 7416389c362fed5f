"""The population: its noise, its pixels, what a sample depends on, and what fits of known movements give back."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.serve import published
from tests.trainables.physical.drawn_strokes import moved, of_path, two_strokes
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, canonical_within, decode, encode, reobserve
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.generation.conditions import Conditions, conditions_of
from trainables.models import ServedGenerator, load_generator
from trainables.physical.api import PhysicalGenerator, load_physical
from trainables.physical.config import FitConfig, PopulationConfig
from trainables.physical.extraction import StrokeSets
from trainables.physical.forms import FORMS
from trainables.physical.perturbation import factors
from trainables.physical.pointer_rounding import axis_share, fitted_play, rounded
from trainables.physical.population import Components, Population
from trainables.physical.residual_noise import in_direction, noise_shares, with_noise
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

NAMES = pytest.mark.parametrize("name", FORMS)
FORM = CanonicalConfig()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.physical(tmp_path_factory.mktemp("physical") / "checkpoint")


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> PhysicalGenerator:
    return load_physical(checkpoint)


@pytest.fixture(scope="module")
def human() -> Canonical:
    return load_splits(DataConfig())["validation"].take(torch.arange(20))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# noise and pixels


def test_shares_of_noise_are_estimated_from_what_a_fit_leaves() -> None:
    """The null and alternatives: 400 movements of 60 steps with no noise but rounding, and with known shares."""
    t = torch.linspace(0.0, 1.0, 61, dtype=torch.float64)
    path = torch.stack([900 * t**2 * (3 - 2 * t), 300 * torch.sin(3 * t)], dim=-1).expand(400, -1, -1)
    white = torch.randn(400, 60, 2, generator=seeded(), dtype=torch.float64)
    for along, across in ((0.0, 0.0), (0.1, 0.0), (0.2, 0.05)):
        noisy = with_noise(path, torch.tensor([[along, across]], dtype=torch.float64).expand(400, -1), white)
        found = noise_shares(path, of_path(noisy.round())).square().mean(dim=0).sqrt()
        torch.testing.assert_close(found, torch.tensor([along, across]).double(), rtol=0.1, atol=0.015)


def test_components_along_and_across_a_direction() -> None:
    found = in_direction(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 5.0], [0.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[2.0, -1.0], [3.0, 4.0]]))


@pytest.mark.parametrize("play", [0.5, 0.7, 1.0])
def test_rounding_with_play_by_plain_loops(play: float) -> None:
    path = torch.randn(5, 40, 2, generator=seeded(), dtype=torch.float64).cumsum(dim=1) * 0.6
    found = rounded(path, play)
    for row in range(5):
        for axis in range(2):
            values, rest = path[row, :, axis].tolist(), math.floor(float(path[row, 0, axis]) + 0.5)
            expected = [rest]
            for value in values[1:-1]:
                rest = math.floor(value + 0.5) if abs(value - rest) > play else rest
                expected.append(rest)
            expected.append(math.floor(values[-1] + 0.5))
            assert found[row, :, axis].tolist() == expected


def test_the_play_of_rounded_paths_is_found_again() -> None:
    path = torch.randn(200, 60, 2, generator=seeded(), dtype=torch.float64).cumsum(dim=1)
    valid = torch.ones(200, 59, dtype=torch.bool)
    for play in (0.5, 0.7, 0.9):
        assert fitted_play(path, rounded(path, play), valid) == pytest.approx(play)
    steps = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, -2.0]]])
    assert float(axis_share(steps)) == pytest.approx(2 / 3)


# covariances


@NAMES
def test_strokes_vary_more_where_their_movement_shows_less(name: str) -> None:
    """Of two strokes that nearly cancel: perturbed together a path moves less than by the same variances each alone."""
    form, one = two_strokes(name)
    back = one.free.clone()
    back[..., 0], back[..., 1], back[..., 3] = back[..., 0] - 0.1, back[..., 1] + 0.02, back[..., 3] + math.pi
    known = StrokeSets(torch.cat([one.free, back], dim=1), torch.ones(3, 4, dtype=torch.bool))
    duration, distance = torch.full((3,), 0.8).double(), torch.full((3,), 300.0).double()
    root = factors(known, form, duration, distance, 0.2)
    white = torch.randn(200, root.shape[1], 1, generator=seeded(), dtype=torch.float64)
    t_s = moved(form, known).t_s[:1].expand(200, -1)
    present = known.present[:1].expand(200, -1)
    for row in range(3):
        whole = known.free[row].expand(200, -1, -1)
        spread = (root[row] @ white).view_as(whole)
        apart = spread[torch.stack([torch.randperm(200, generator=seeded(k)) for k in range(spread[0].numel())], 1)]
        independent = torch.diagonal(apart.flatten(2), dim1=1, dim2=2).view_as(whole)
        exact = StrokeSets(whole, present).path(form, t_s)
        ours, theirs = (
            (StrokeSets(whole + one, present).path(form, t_s) - exact).diff(dim=1).square().mean()
            for one in (spread, independent)
        )
        assert 0 < float(ours) < 0.7 * float(theirs)
    assert not bool(factors(known, form, duration, distance, 0.0).any())


# samples


def test_samples_have_the_requested_duration_and_displacement(model: PhysicalGenerator, human: Canonical) -> None:
    found = decode(model.sample_matching(human, seed=0), FORM)
    real = decode(human, FORM)
    assert torch.equal(found.length, real.length)
    assert float((found.steps_px.sum(dim=1) - real.steps_px.sum(dim=1)).abs().max()) <= 1.0
    assert torch.equal(found.steps_px, found.steps_px.round())


def test_samples_survive_the_observation_model(model: PhysicalGenerator, human: Canonical) -> None:
    found = model.sample_matching(human, seed=0)
    again, rows = reobserve(found, FORM)
    assert len(rows) == len(human)
    torch.testing.assert_close(decode(again, FORM).steps_px, decode(found, FORM).steps_px)


def test_a_row_depends_on_its_key_and_its_condition_alone(model: PhysicalGenerator, human: Canonical) -> None:
    conditions = conditions_of(human)
    whole = model.rows(conditions, human, [(3, k) for k in range(20)])
    rows = torch.tensor([7, 2])
    part = model.rows(conditions.take(rows), human.take(rows), [(3, 7), (3, 2)])
    assert torch.equal(part, whole[rows])
    assert not torch.equal(model.rows(conditions.take(rows[:1]), human.take(rows[:1]), [(4, 7)]), whole[rows[:1]])
    streamed = torch.cat([*model.stream(conditions.take(rows[:1]), human.take(rows[:1]), seed=3, first=7)])
    assert torch.equal(streamed, whole[rows[:1]])
    assert isinstance(model, ServedGenerator)
    assert model.batch_invariant


def test_samples_follow_their_condition(model: PhysicalGenerator, human: Canonical) -> None:
    """Paths of requested straight and of requested winding movements, the same otherwise."""
    conditions, found = conditions_of(human), []
    for ratio in (1.05, 1.6):
        raw = conditions.raw.clone()
        raw[:, 2] = math.log(ratio)
        z = model.rows(replace(conditions, raw=raw), human, [(0, k) for k in range(20)])
        deltas = model.statistics.denormalise(z, human)
        found.append(float((deltas.norm(dim=-1).sum(dim=1)).log().mean()))
    assert found[0] + 0.15 < found[1]


def test_without_spread_and_noise_a_population_repeats_its_movements() -> None:
    """Under the conditions of its own two movements, far apart in duration: each gives itself back, to the pixel."""
    form, known = two_strokes("sigma_lognormal", count=2)
    paths = [known.take(torch.tensor([row])).path(form, moved(form, known, steps).t_s[:1]) for row, steps in ENDS]
    raw = torch.stack([condition(path, steps) for path, (_, steps) in zip(paths, ENDS, strict=True)])
    turned = torch.stack([torch.atan2(path[0, -1, 1], path[0, -1, 0]) for path in paths])
    level = known.free.clone()
    level[..., 3] -= turned[:, None]
    conditions = Conditions(torch.cat([raw, torch.full((2, 1), math.nan)], dim=1), torch.zeros(2).double())
    components = Components(StrokeSets(level, known.present), torch.zeros(2, 2).double(), conditions, 0.5)
    population = Population.of(form, PopulationConfig(bandwidth=0.05, spread=0.0), components)
    for row, (_, steps) in enumerate(ENDS):
        own = StrokeSets(level[row][None], known.present[:1]).path(form, moved(form, known, steps).t_s[:1])
        found = population.sample(conditions.take(slice(row, row + 1)), seeded())
        assert torch.equal(found, own[0].round().diff(dim=0))


ENDS = ((0, 40), (1, 60))


def condition(path: Tensor, steps: int) -> Tensor:
    net = path[0, -1].norm()
    ratio = path[0].diff(dim=0).norm(dim=-1).sum() / net
    return torch.stack([torch.tensor(steps / 60).double().log(), net.log(), ratio.log(), torch.tensor(0.0).double()])


def test_sources_choose_components(model: PhysicalGenerator) -> None:
    components = model.population.components
    own = Components(
        components.strokes,
        components.noise,
        Conditions(components.raw, components.angle, torch.arange(len(components)) % 2),
        0.5,
    )
    population = replace(model.population, components=own)
    asked = Conditions(components.raw[:1], components.angle[:1], torch.tensor([1]))
    weights = population.weights(asked)
    unknown = population.weights(replace(asked, source=torch.tensor([-1])))
    assert float(weights.sum()) == pytest.approx(1.0)
    odd = torch.arange(len(components)) % 2 == 1
    assert float(weights[odd].sum()) > float(unknown[odd].sum())


@pytest.mark.parametrize("representation", ["fixed_dt", "normalised_time", "events"])
def test_canonical_form_within_a_frame_is_inverted_to_the_pixel(representation: str) -> None:
    form = CanonicalConfig(representation)
    human = load_splits(DataConfig(canonical=form))["validation"].take(torch.arange(10))
    movements = decode(human, form)
    shifted = replace(human, angle=human.angle + 1e-3, distance_px=human.distance_px + 0.3)
    found = canonical_within(movements, shifted, form)
    if representation == "fixed_dt":
        assert torch.equal(decode(found, form).steps_px, movements.steps_px)
    torch.testing.assert_close(canonical_within(movements, human, form).deltas, encode(movements, form).deltas)


# what is refused


def test_a_weight_multiplies_the_share_of_its_movement(model: PhysicalGenerator, human: Canonical) -> None:
    """By plain loops; with a weight of 0 a movement is never drawn, and equal weights are none."""
    whole, wanted = model.population, conditions_of(human).take(torch.arange(1))
    components, shares = whole.components, whole.weights(wanted)
    weight = torch.rand(len(components), generator=seeded(), dtype=torch.float64)
    weight[:3] = 0.0
    conditions = Conditions(components.raw, components.angle, components.source)

    def weighted(own: Tensor) -> Tensor:
        made = Components(components.strokes, components.noise, conditions, float(components.play), own)
        return replace(whole, components=made).weights(wanted)

    expected = [float(share) * float(one) for share, one in zip(shares, weight, strict=True)]
    torch.testing.assert_close(weighted(weight), torch.tensor(expected, dtype=torch.float64) / sum(expected))
    torch.testing.assert_close(weighted(torch.full_like(weight, 0.3)), shares)


def test_a_population_of_one_movement_is_refused(model: PhysicalGenerator) -> None:
    components, one = model.population.components, torch.tensor([0])
    own = Conditions(components.raw[one], components.angle[one], components.source[one])
    alone = Components(components.strokes.take(one), components.noise[one], own, 0.5)
    with pytest.raises(
        ConfigError, match=r"^expected `movements that strokes were fitted to >= 2` in a population, but"
    ):
        Population.of(model.population.form, PopulationConfig(), alone)


def test_a_checkpoint_of_another_form_or_of_no_form_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    tensors, record = load_checkpoint(checkpoint)
    for number, (form, message) in enumerate(
        [("minimum_jerk", r"expected strokes of 4 parameters \(minimum_jerk\), but got 6"), ("bezier", "`form` in")]
    ):
        config = {**record["config"], "fit": {**record["config"]["fit"], "form": form}}
        save_checkpoint(tmp_path / str(number), tensors, {**record, "config": config})
        with pytest.raises((CheckpointError, ConfigError), match=message):
            load_generator(tmp_path / str(number))
    gan = published.gan(tmp_path / "gan")
    with pytest.raises(CheckpointError, match="kind `physical`, but got gan"):
        load_physical(gan)


def test_minimum_jerk_makes_movements_as_well(tmp_path: Path, human: Canonical) -> None:
    config = replace(published.PHYSICAL, fit=FitConfig("minimum_jerk", movements=40, iterations=2))
    found = load_physical(published.physical(tmp_path / "checkpoint", config)).sample_matching(human, seed=1)
    assert len(reobserve(found, FORM)[1]) == len(human)
    assert generator(1, "physical", 0).initial_seed() != generator(1, "physical", 1).initial_seed()
