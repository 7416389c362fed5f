"""Scored movements of made-up people and bots, for tests of what is made of scores."""

import torch

from trainables.core.seeding import generator
from trainables.detector.evaluation.scored_movements import Scored, joined

STYLES = {"clear": ("plain", 4.0), "fair": ("plain", 2.0), "sly": ("crafty", 0.7)}  # style -> family, shift in log odds


def people(seed: int, persons: int, each: int, source: str = "lab", shift: float = 0.0, own: float = 0.5) -> Scored:
    """`each` movements of every person; log odds about -2 + shift, `own` the s.d. of what is a person's own."""
    random = generator(seed, "people", source)
    habit = own * torch.randn(persons, generator=random, dtype=torch.float64).repeat_interleave(each)
    z = -2 + shift + habit + torch.randn(persons * each, generator=random, dtype=torch.float64)
    names = [f"{source}/{seed}/p{k}" for k in range(persons) for _ in range(each)]
    return Scored.of_people(torch.sigmoid(z), names, source)


def bots(seed: int, like: Scored, styles: dict[str, tuple[str, float]] = STYLES) -> Scored:
    """One movement of every style under the conditions of every row."""
    parts = []
    for style, (family, shift) in styles.items():
        noise = torch.randn(len(like), generator=generator(seed, "bots", style), dtype=torch.float64)
        n = len(like)
        parts.append(Scored.of_bots(torch.sigmoid(noise - 2 + shift), like.group, [style] * n, [family] * n, "made"))
    return joined(*parts)


def judged_set(seed: int, persons: int = 12, each: int = 20) -> Scored:
    """People and every style of bot under their conditions."""
    of_people = people(seed, persons, each)
    return joined(of_people, bots(seed, of_people))
