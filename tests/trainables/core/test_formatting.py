"""The print forms that every table shares."""

import pytest

from trainables.core.formatting import clock, format_interval, number


@pytest.mark.parametrize(
    ("digits", "text"), [(3, "0.580 [0.493, 0.668]"), (1, "0.6 [0.5, 0.7]"), (4, "0.5800 [0.4930, 0.6680]")]
)
def test_an_interval_is_its_value_and_its_bounds_in_brackets_with_the_same_digits(digits: int, text: str) -> None:
    assert format_interval(0.58, 0.493, 0.668, digits) == text


def test_an_unbounded_interval_prints_inf() -> None:
    assert format_interval(0.5, float("-inf"), float("inf")) == "0.500 [-inf, inf]"


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0:00"), (65.9, "1:05"), (3665, "1:01:05")])
def test_a_duration_shows_hours_only_from_the_first_hour_on(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_missing_metric_is_a_dash() -> None:
    assert (number(None), number(0.12345), number(0.5, 1)) == ("-", "0.123", "0.5")
