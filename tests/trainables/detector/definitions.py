"""FNR and ROC-AUC by their definition, in plain loops."""


def fnr_by_definition(human: list[float], bots: list[float], fpr: float) -> float:
    """Return the FNR at the lowest threshold among the human scores above which at most a share `fpr` of them lies."""
    allowed = [t for t in human if sum(score > t for score in human) <= fpr * len(human)]
    return sum(score <= min(allowed) for score in bots) / len(bots)


def area_by_definition(human: list[float], bots: list[float]) -> float:
    pairs = [(bot > score) + 0.5 * (bot == score) for bot in bots for score in human]
    return sum(pairs) / len(pairs)
