"""Figures of missed bots by their definition, in plain loops."""


def missed_by_definition(people: list[float], bots: list[float], fpr: float) -> float:
    """The lowest threshold among the people's scores above which at most a share `fpr` of them lies."""
    allowed = [t for t in people if sum(score > t for score in people) <= fpr * len(people)]
    return sum(score <= min(allowed) for score in bots) / len(bots)


def area_by_definition(people: list[float], bots: list[float]) -> float:
    pairs = [(bot > person) + 0.5 * (bot == person) for bot in bots for person in people]
    return sum(pairs) / len(pairs)
