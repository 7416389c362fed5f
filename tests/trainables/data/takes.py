"""Movements drawn for tests: aimed, in whole pixels, with rests, dropped reports and slow ends as recordings have."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from trainables.data.canonical import Movements, pack


def takes(lengths: list[int], seed: int = 0) -> Movements:
    """One movement of each length: a bell of speed towards (240, -140), some steps held at zero, rest at the start.

    The target of every other one has a width.
    """
    rng = np.random.default_rng(seed)
    packed = pack([path(length, rng) for length in lengths], [f"g{i % 3}" for i in range(len(lengths))])
    width_px = torch.tensor([8.0 + i if i % 2 else math.nan for i in range(len(lengths))], dtype=torch.float64)
    return replace(packed, target_width_px=width_px, source=tuple(f"s{i % 2}" for i in range(len(lengths))))


def path(length: int, rng: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Positions [length + 1, 2]."""
    bell = np.sin(np.linspace(0.0, math.pi, length)) ** 2 / length
    steps = np.rint(bell[:, None] * (480.0, -280.0) * rng.uniform(0.6, 1.4, size=(length, 2)))
    steps[rng.random(length) < 0.12] = 0.0
    steps[: int(rng.integers(0, 1 + length // 6))] = 0.0
    return np.concatenate([[[0.0, 0.0]], steps.cumsum(axis=0)])


def positions(movements: Movements, row: int) -> list[tuple[float, float]]:
    """The points of one movement, its start at (0, 0)."""
    x, y, points = 0.0, 0.0, [(0.0, 0.0)]
    for dx, dy in movements.steps_px[row, : int(movements.length[row])].tolist():
        x, y = x + dx, y + dy
        points.append((x, y))
    return points


def gap(point: tuple[float, float], line: list[tuple[float, float]]) -> float:
    """Distance from a point to the nearest point of a polyline."""
    shortest = math.dist(point, line[0])
    for (ax, ay), (bx, by) in pairwise(line):
        square = (bx - ax) ** 2 + (by - ay) ** 2
        share = ((point[0] - ax) * (bx - ax) + (point[1] - ay) * (by - ay)) / square if square else 0.0
        share = min(max(share, 0.0), 1.0)
        shortest = min(shortest, math.dist(point, (ax + share * (bx - ax), ay + share * (by - ay))))
    return shortest


def assert_same_movements(found: Movements, expected: Movements) -> None:
    """Assert equal steps, lengths, target widths, groups and sources; the padding may differ."""
    assert torch.equal(found.length, expected.length)
    torch.testing.assert_close(found.target_width_px, expected.target_width_px, rtol=0.0, atol=0.0, equal_nan=True)
    assert (found.group, found.source) == (expected.group, expected.source)
    for row, length in enumerate(expected.length.tolist()):
        assert torch.equal(found.steps_px[row, :length], expected.steps_px[row, :length])
