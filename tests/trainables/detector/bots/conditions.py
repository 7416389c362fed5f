"""Conditions for tests of bots: movements of given numbers of steps between given pixels."""

import hashlib
from dataclasses import replace

import numpy as np
import torch

from trainables.data.canonical import Canonical, encode, pack
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import BOTS

EXTREMES = {  # steps at 60 Hz and net displacement in pixels
    "8 px in 60 steps": (60, (8, 0)),
    "8 px in 8 steps": (8, (0, -8)),
    "2000 px in 8 steps": (8, (-1200, 1600)),
    "2400 px in 64 steps": (64, (2400, 0)),
    "on a diagonal": (33, (-6, -6)),
    "usual": (41, (431, -389)),
}


def conditions(
    *conditions: tuple[int, tuple[int, int]], group: str = "", config: CanonicalConfig | None = None
) -> Canonical:
    """Return one eased movement with a bow and a still step per condition; of one group, or of a group each."""
    made = pack([bowed(*condition) for condition in conditions], [group or f"g{i}" for i in range(len(conditions))])
    width_px = torch.arange(len(conditions), dtype=torch.float64) + 20.0
    source = tuple(f"s{i % 2}" for i in range(len(conditions)))
    return encode(replace(made, target_width_px=width_px, source=source), config or CanonicalConfig())


def bowed(steps: int, net: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return whole-pixel positions [steps + 1, 2]; the fourth step is still."""
    share = np.linspace(0.0, 1.0, steps + 1)[:, None]
    across = np.array([[-net[1], net[0]]])
    path: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.rint(
        (3 * share**2 - 2 * share**3) * np.array([net]) + 0.2 * np.sin(np.pi * share) * across
    )
    path[4] = path[3]
    return path


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hashes() -> list[str]:
    """Return hashes of the movements of every style under the extreme conditions."""
    like = conditions(*EXTREMES.values())
    drawn = (bot.generate(like, seeded(5)).steps_px.contiguous() for bot in BOTS.values())
    return [hashlib.sha256(steps.numpy().tobytes()).hexdigest() for steps in drawn]
