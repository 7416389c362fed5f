import math

import pytest
import torch

from serve.jobs import Job
from serve.planning import MAX_PIXEL_STEPS, require_few_steps
from trainables.core.config import ConfigError
from trainables.data.config import RATE_HZ
from trainables.generation.conditions import Conditions

STEPS = 1024


def lasting(*steps: float) -> Conditions:
    """Return conditions of movements with these numbers of steps."""
    raw = torch.tensor([[math.log(s / RATE_HZ), 6.0, 0.1, 0.5, math.nan] for s in steps], dtype=torch.float64)
    return Conditions(raw, torch.zeros(len(raw), dtype=torch.float64))


def test_pixels_are_refused_by_the_steps_of_the_longest_movement_times_the_movements() -> None:
    most = MAX_PIXEL_STEPS // STEPS
    require_few_steps(Job(most), lasting(0.999 * STEPS, 8))
    require_few_steps(Job(most + 1), lasting(0.9 * STEPS))
    with pytest.raises(ConfigError, match=rf"n={most + 1}, steps={STEPS}"):
        require_few_steps(Job(most + 1), lasting(8, STEPS))
