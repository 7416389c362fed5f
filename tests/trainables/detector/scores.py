"""Synthetic scored movements of users and bots, for tests of metrics."""

import torch

from trainables.core.seeding import generator
from trainables.detector.evaluation.scored_movements import ScoredMovements, joined

STYLES = {"clear": ("plain", 4.0), "fair": ("plain", 2.0), "sly": ("crafty", 0.7)}  # style -> family, shift in log odds


def humans(
    seed: int, users: int, each: int, source: str = "lab", shift: float = 0.0, own: float = 0.5
) -> ScoredMovements:
    """Return `each` movements per user; log odds about -2 + shift, `own` the s.d. between users."""
    random = generator(seed, "people", source)
    habit = own * torch.randn(users, generator=random, dtype=torch.float64).repeat_interleave(each)
    z = -2 + shift + habit + torch.randn(users * each, generator=random, dtype=torch.float64)
    names = [f"{source}/{seed}/p{k}" for k in range(users) for _ in range(each)]
    return ScoredMovements.of_users(torch.sigmoid(z), names, source)


def bots(seed: int, like: ScoredMovements, styles: dict[str, tuple[str, float]] = STYLES) -> ScoredMovements:
    """Return one movement of every style under the conditions of every row."""
    parts = []
    for style, (family, shift) in styles.items():
        noise = torch.randn(len(like), generator=generator(seed, "bots", style), dtype=torch.float64)
        n = len(like)
        parts.append(
            ScoredMovements.of_bots(torch.sigmoid(noise - 2 + shift), like.group, [style] * n, [family] * n, "made")
        )
    return joined(*parts)


def example_set(seed: int, users: int = 12, each: int = 20) -> ScoredMovements:
    """Return users and every style of bot under their conditions."""
    of_users = humans(seed, users, each)
    return joined(of_users, bots(seed, of_users))
