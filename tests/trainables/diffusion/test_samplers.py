"""Properties of the samplers: exact where the answer is known in closed form, and row by row."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.diffusion.noise.schedule import (
    PREDICTIONS,
    SCHEDULES,
    Prediction,
    Schedule,
    cosine_schedule,
    diffuse,
    linear_schedule,
    log_snr_schedule,
    signal_and_noise,
    velocity,
)
from trainables.diffusion.samplers import (
    SAMPLERS,
    SPACINGS,
    SamplingDivergedError,
    Velocity,
    ddim,
    dpmpp_2m,
    guided,
    noisiest_time,
    trailing_times,
)
from trainables.generation.keyed_noise import keyed_noise

SCHEDULE = cosine_schedule(1000)
FINE = log_snr_schedule(10_001, highest=8.0)  # no clipped betas, and next to no noise at its last time
ORDERS = {"ddim": 1, "dpmpp_2m": 2}  # of convergence; a new sampler states its own here
samplers = pytest.mark.parametrize("name", list(SAMPLERS))
spacings = pytest.mark.parametrize("spacing", list(SPACINGS))
spreads = pytest.mark.parametrize("s", [0.1, 0.5, 2.0])


def gaussian_velocity(schedule: Schedule, s: float) -> Velocity:
    """The best possible prediction for data N(0, s^2).

    E[x_0 | x_t] = alpha s^2 x_t / D and E[eps | x_t] = sigma x_t / D with D = alpha^2 s^2 + sigma^2, the variance of
    x_t, so that v = alpha sigma (1 - s^2) x_t / D.
    """

    def model(x_t: Tensor, t: Tensor, estimate: Tensor | None) -> Tensor:
        alpha, sigma = schedule.alpha[t][:, None, None], schedule.sigma[t][:, None, None]
        return alpha * sigma * (1 - s**2) * x_t / (alpha**2 * s**2 + sigma**2)

    return model


def single_point_velocity(target: Tensor) -> Velocity:
    """If all data are one sequence, x_0 is known from the first call on: x_t = alpha x_0 + sigma eps gives v."""

    def model(x_t: Tensor, t: Tensor, estimate: Tensor | None) -> Tensor:
        alpha, sigma = SCHEDULE.alpha[t][:, None, None], SCHEDULE.sigma[t][:, None, None]
        return (alpha * x_t - target) / sigma

    return model


def exact(schedule: Schedule, s: float, x_t: Tensor) -> Tensor:
    """The probability flow keeps every quantile: x_0 = s x_T / sqrt(D_T)."""
    alpha, sigma = float(schedule.alpha[-1]), float(schedule.sigma[-1])
    return s * x_t / math.sqrt(alpha**2 * s**2 + sigma**2)


def start(count: int = 4) -> Tensor:
    return keyed_noise([(0, row) for row in range(count)], 6, 2, "sample").double()


def times_of(steps: int, spacing: str = "trailing", schedule: Schedule = SCHEDULE) -> Tensor:
    return SPACINGS[spacing](schedule, steps, len(schedule) - 1)


# against the closed form and the published algorithms


@spreads
@pytest.mark.parametrize("steps", [1, 3, 20, 1000])
def test_ddim_is_its_definition_step_by_step(s: float, steps: int) -> None:
    """On Gaussian data a step from t to s scales by (alpha_s alpha_t s^2 + sigma_s sigma_t) / D_t, the last to x_0."""
    found = ddim(gaussian_velocity(SCHEDULE, s), SCHEDULE, start(), times_of(steps))
    times = [round((steps - k) * 1000 / steps) - 1 for k in range(steps)]
    factor = 1.0
    for t, following in zip(times, [*times[1:], None], strict=True):
        a, b = float(SCHEDULE.alpha[t]), float(SCHEDULE.sigma[t])
        a_next, b_next = (
            (1.0, 0.0) if following is None else (float(x[following]) for x in (SCHEDULE.alpha, SCHEDULE.sigma))
        )
        factor *= (a_next * a * s**2 + b_next * b) / (a**2 * s**2 + b**2)
    torch.testing.assert_close(found, factor * start(), rtol=1e-9, atol=1e-12)


@spacings
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_ddim_on_the_linear_schedule_takes_euler_steps_along_the_straight_path(spacing: str, steps: int) -> None:
    """x_s = x_t + (s - t) u of rectified flow, at s of each time and 0 at last, for any network."""
    schedule = linear_schedule(1000)
    times = times_of(steps, spacing, schedule)

    def network(x_t: Tensor, t: Tensor, *_: object) -> Tensor:
        return torch.sin(3 * x_t) + t[:, None, None] / 1000

    found = ddim(bound(network, None, 1.0, PREDICTIONS["flow"], schedule), schedule, start(), times)
    x, s = start(), [(t + 0.5) / 1000 for t in times.tolist()] + [0.0]
    norm = [math.hypot(1 - at, at) for at in s]
    x = norm[0] * x
    for k, t in enumerate(times.tolist()):
        x = x + (s[k + 1] - s[k]) * network(x / norm[k], torch.full((len(x),), t))
    torch.testing.assert_close(found, x, rtol=0.0, atol=2e-5)  # levels of a network call are float32


@spacings
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_dpmpp_2m_is_the_published_algorithm(spacing: str, steps: int) -> None:
    """Algorithm 2 of DPM-Solver++ with its own letters and indices, scalar by scalar; then x_0 of the last time."""
    s, t = 0.5, times_of(steps, spacing).tolist()
    alpha, sigma = SCHEDULE.alpha.tolist(), SCHEDULE.sigma.tolist()
    lam = [math.log(alpha[each] / sigma[each]) for each in t]

    def x_theta(x: float, i: int) -> float:
        a, b = alpha[t[i]], sigma[t[i]]
        return float(a * s**2 * x / (a**2 * s**2 + b**2))

    for noise, found in zip(
        start().flatten().tolist(),
        dpmpp_2m(gaussian_velocity(SCHEDULE, s), SCHEDULE, start(), times_of(steps, spacing)).flatten().tolist(),
        strict=True,
    ):
        x = [noise]
        q = [x_theta(x[0], 0)]
        for i in range(1, steps):
            h_i = lam[i] - lam[i - 1]
            if i == 1:
                d_i = q[0]
            else:
                r_i = (lam[i - 1] - lam[i - 2]) / h_i
                d_i = (1 + 1 / (2 * r_i)) * q[i - 1] - 1 / (2 * r_i) * q[i - 2]
            x.append(sigma[t[i]] / sigma[t[i - 1]] * x[i - 1] - alpha[t[i]] * (math.exp(-h_i) - 1) * d_i)
            q.append(x_theta(x[i], i))
        assert found == pytest.approx(q[-1], rel=1e-9, abs=1e-12)


@samplers
@pytest.mark.parametrize("s", [0.5, 2.0])
def test_the_error_falls_with_the_stated_order(name: str, s: float) -> None:
    """The slope of log error over log steps, against the exact solution for Gaussian data; more steps never hurt."""
    steps = [20, 25, 40, 50, 100, 125]
    model, x_t = gaussian_velocity(FINE, s), start()
    errors = [
        float((SAMPLERS[name](model, FINE, x_t, times_of(n, schedule=FINE), None) - exact(FINE, s, x_t)).norm())
        for n in steps
    ]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert -slope == pytest.approx(ORDERS[name], abs=0.15)
    assert errors == sorted(errors, reverse=True)


@samplers
@spacings
@spreads
def test_many_steps_reach_the_exact_solution(name: str, spacing: str, s: float) -> None:
    found = SAMPLERS[name](gaussian_velocity(SCHEDULE, s), SCHEDULE, start(), times_of(500, spacing), None)
    torch.testing.assert_close(found, exact(SCHEDULE, s, start()), rtol=0.03, atol=0.0)


@samplers
@spacings
@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_a_single_data_point_is_reached_in_any_number_of_steps(name: str, spacing: str, steps: int) -> None:
    target = torch.randn(1, 6, 2, generator=torch.Generator().manual_seed(1)).double()
    found = SAMPLERS[name](single_point_velocity(target), SCHEDULE, start(), times_of(steps, spacing), None)
    torch.testing.assert_close(found, target.expand_as(found), rtol=0.0, atol=1e-6)


def variance(eta: float, scale: float = 1.0) -> float:
    """Of 20,000 samples from the Gaussian denoiser of s = 1/2, whose fresh noise is scaled."""
    model = gaussian_velocity(SCHEDULE, 0.5)
    x_t = keyed_noise([(1, row) for row in range(50)], 200, 2, "sample").double()

    def fresh(step: int) -> Tensor:
        return scale * keyed_noise([(1, row) for row in range(50)], 200, 2, "step", step).double()

    return float(ddim(model, SCHEDULE, x_t, times_of(250), eta=eta, fresh=fresh).var())


@pytest.mark.parametrize(("eta", "scale", "right"), [(1.0, 1.0, True), (0.5, 1.0, True), (1.0, 0.8, False)])
def test_fresh_noise_keeps_the_variance_of_the_data(eta: float, scale: float, right: bool) -> None:
    """s^2 = 0.25 within 5 s.d. of the variance of 20,000 values (false failure 6e-7) plus 2 % of discretisation, which
    too little fresh noise misses.
    """
    assert (abs(variance(eta, scale) / 0.25 - 1) < 5 * (2 / 20_000) ** 0.5 + 0.02) is right


def test_without_eta_no_noise_is_added() -> None:
    def fresh(step: int) -> Tensor:
        raise AssertionError(step)

    model = gaussian_velocity(SCHEDULE, 0.5)
    found = ddim(model, SCHEDULE, start(), times_of(5), eta=0.0, fresh=fresh)
    assert torch.equal(found, ddim(model, SCHEDULE, start(), times_of(5)))


# what a sampler does with its network


@samplers
@spacings
def test_the_network_is_called_once_per_step_at_falling_times_with_its_own_estimate(name: str, spacing: str) -> None:
    seen: list[tuple[list[int], Tensor | None]] = []
    predicted: list[Tensor] = []

    def model(x_t: Tensor, t: Tensor, estimate: Tensor | None) -> Tensor:
        seen.append((t.tolist(), estimate))
        predicted.append(float(SCHEDULE.alpha[t[0]]) * x_t)
        return torch.zeros_like(x_t)

    found = SAMPLERS[name](model, SCHEDULE, start(3), times_of(12, spacing), None)
    assert all(len(set(row)) == 1 and len(row) == 3 for row, _ in seen)
    assert [row[0] for row, _ in seen] == times_of(12, spacing).tolist()
    assert seen[0][1] is None
    for (_, estimate), before in zip(seen[1:], predicted, strict=False):
        assert estimate is not None
        torch.testing.assert_close(estimate, before)
    torch.testing.assert_close(found, predicted[-1])


@samplers
def test_every_prediction_of_the_data_is_corrected(name: str) -> None:
    """A correction to the true x_0 gives it for every prediction; the identity changes nothing."""
    target, model = torch.full((1, 6, 2), 3.0).double(), gaussian_velocity(SCHEDULE, 0.5)
    calls: list[Tensor] = []

    def correct(x_0: Tensor) -> Tensor:
        calls.append(x_0)
        return target.expand_as(x_0)

    found = SAMPLERS[name](model, SCHEDULE, start(), times_of(7), correct)
    assert len(calls) == 7
    assert torch.equal(found, target.expand_as(found))
    same = SAMPLERS[name](model, SCHEDULE, start(), times_of(7), lambda x_0: x_0)
    torch.testing.assert_close(same, SAMPLERS[name](model, SCHEDULE, start(), times_of(7), None), rtol=1e-9, atol=1e-9)


@samplers
@spacings
def test_a_sample_does_not_depend_on_its_batch_mates(name: str, spacing: str) -> None:
    model, x_t, times = gaussian_velocity(SCHEDULE, 0.5), start(5), times_of(10, spacing)
    together = SAMPLERS[name](model, SCHEDULE, x_t, times, None)
    alone = torch.cat([SAMPLERS[name](model, SCHEDULE, row[None], times, None) for row in x_t])
    torch.testing.assert_close(together, alone, rtol=0.0, atol=1e-14)


@samplers
def test_sampling_uses_no_global_generator_and_changes_no_input(name: str) -> None:
    torch.manual_seed(2)
    state, x_t = torch.get_rng_state(), start()
    SAMPLERS[name](gaussian_velocity(SCHEDULE, 0.5), SCHEDULE, x_t, times_of(5), None)
    assert torch.equal(x_t, start())
    assert torch.equal(torch.get_rng_state(), state)


@samplers
@pytest.mark.parametrize("where", ["noise", "network"])
def test_nan_is_refused(name: str, where: str) -> None:
    x_t = start()
    x_t[1, 2, 0] = math.nan if where == "noise" else 0.0

    def model(x_t: Tensor, t: Tensor, estimate: Tensor | None) -> Tensor:
        return x_t if where == "noise" or int(t[0]) > 500 else x_t * math.inf

    with pytest.raises(SamplingDivergedError, match=r"^the network gave NaN or infinity at t=\d+;"):
        SAMPLERS[name](model, SCHEDULE, x_t, times_of(5), None)


# times


@pytest.mark.parametrize("timesteps", [1, 7, 10, 1000])
def test_trailing_times_descend_from_the_last_one_in_equal_steps(timesteps: int) -> None:
    schedule = cosine_schedule(timesteps)
    for steps in {1, 2, 3, 7, timesteps // 2, timesteps - 1, timesteps} - {0}:
        if steps > timesteps:
            continue
        times = trailing_times(schedule, steps, timesteps - 1).tolist()
        assert times == [round(k * timesteps / steps) - 1 for k in range(steps, 0, -1)]


@spacings
@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize("timesteps", [1, 2, 7, 60])
def test_times_are_distinct_and_fall_from_the_noisiest_one_for_any_number(
    spacing: str, schedule: str, timesteps: int
) -> None:
    process = SCHEDULES[schedule](timesteps)
    for steps in range(1, timesteps + 1):
        times = SPACINGS[spacing](process, steps, timesteps - 1).tolist()
        assert len(set(times)) == steps
        assert times == sorted(times, reverse=True)
        assert (times[0], times[-1] >= 0) == (timesteps - 1, True)


@pytest.mark.parametrize("steps", [5, 8, 20, 50])
def test_log_snr_times_are_uniform_in_lambda(steps: int) -> None:
    """Up to the grid of a fine schedule, but for the way from the very first time to the span."""
    schedule = cosine_schedule(20_000)
    level = schedule.log_snr()[times_of(steps, "log_snr", schedule)]
    gaps = level.diff()[1:]
    torch.testing.assert_close(gaps, gaps.mean().expand_as(gaps), rtol=0.05, atol=0.0)


@spacings
@pytest.mark.parametrize("steps", [0, 11, -1])
def test_impossible_numbers_of_steps_are_refused(spacing: str, steps: int) -> None:
    law = rf"^expected `1 <= steps <= timesteps`, but got steps={steps}, timesteps=10"
    with pytest.raises(ConfigError, match=law):
        SPACINGS[spacing](cosine_schedule(10), steps, 9)


def test_the_noisiest_time_is_the_last_one_unless_that_would_magnify_errors() -> None:
    assert noisiest_time(SCHEDULE, PREDICTIONS["v"]) == 999
    t = noisiest_time(SCHEDULE, PREDICTIONS["eps"])
    assert float(SCHEDULE.alpha[t]) >= 0.01 > float(SCHEDULE.alpha[t + 1])
    hopeless = Schedule(torch.full((3,), 1e-3), torch.ones(3))
    with pytest.raises(ConfigError, match=r"^expected `alpha_t >= 0.01` at some t"):
        noisiest_time(hopeless, PREDICTIONS["eps"])


# prediction types and guidance

Model = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None], Tensor]
MASK = torch.ones(4, 6, dtype=torch.bool)


def conditional_model(calls: list[int]) -> Model:
    """3 x_t where the condition is dropped, else 5 x_t plus the condition; the estimate is added to both."""

    def model(
        x_t: Tensor, t: Tensor, mask: Tensor, condition: Tensor | None, drop: Tensor | None, estimate: Tensor | None
    ) -> Tensor:
        calls.append(len(x_t))
        assert condition is not None
        assert len(x_t) == len(t) == len(mask) == len(condition)
        conditioned = 5 * x_t + condition[:, None]
        output = conditioned if drop is None else torch.where(drop[:, None, None], 3 * x_t, conditioned)
        return output if estimate is None else output + estimate

    return model


def bound(
    model: Model,
    condition: Tensor | None,
    w: float,
    prediction: Prediction = PREDICTIONS["v"],
    schedule: Schedule = SCHEDULE,
) -> Velocity:
    return guided(model, MASK, condition, schedule, prediction, w)


@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("estimated", [False, True])
def test_guidance_blends_free_and_conditional_prediction_in_one_call(w: float, estimated: bool) -> None:
    calls: list[int] = []
    condition, x_t = torch.randn(4, 2).double(), start()
    estimate = torch.full_like(x_t, 0.5) if estimated else None
    found = bound(conditional_model(calls), condition, w)(x_t, torch.full((4,), 3), estimate)
    free, conditional = 3 * x_t, 5 * x_t + condition[:, None]
    expected = (1 - w) * free + w * conditional + (0.5 if estimated else 0.0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert calls == ([4] if w == 1.0 else [8])


def test_guidance_one_is_the_conditional_model_exactly() -> None:
    condition, x_t = torch.randn(4, 2).double(), start()
    found = bound(conditional_model([]), condition, 1.0)(x_t, torch.full((4,), 3), None)
    assert torch.equal(found, 5 * x_t + condition[:, None])


@pytest.mark.parametrize("kind", list(PREDICTIONS))
@pytest.mark.parametrize("t", [0, 500, 990])
def test_every_prediction_type_is_converted_to_a_velocity(kind: str, t: int) -> None:
    x_0, eps, alpha, sigma = start(), start().flip(0), float(SCHEDULE.alpha[t]), float(SCHEDULE.sigma[t])
    output = PREDICTIONS[kind].target(x_0, eps, alpha, sigma)
    model = bound(lambda *_: output, None, 1.0, PREDICTIONS[kind])
    found = model(diffuse(x_0, eps, alpha, sigma), torch.full((4,), t), None)
    torch.testing.assert_close(found, velocity(x_0, eps, alpha, sigma), rtol=0.0, atol=2e-5)


@samplers
@spacings
def test_networks_of_all_predictions_sample_alike(name: str, spacing: str) -> None:
    """On Gaussian data all are exact; they start at other times, so they agree up to the error of the solver."""

    def output(kind: str, x_t: Tensor, t: Tensor, *_: object) -> Tensor:
        v = gaussian_velocity(SCHEDULE, 0.5)(x_t, t, None)
        x_0, eps = signal_and_noise(x_t, v, SCHEDULE.alpha[t][:, None, None], SCHEDULE.sigma[t][:, None, None])
        return {"v": v, "eps": eps, "flow": eps - x_0}[kind]

    found = []
    for kind, prediction in PREDICTIONS.items():
        times = SPACINGS[spacing](SCHEDULE, 100, noisiest_time(SCHEDULE, prediction))
        velocity_of = bound(partial(output, kind), None, 1.0, prediction)
        found.append(SAMPLERS[name](velocity_of, SCHEDULE, start(), times, None))
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=0.02, atol=1e-3)
