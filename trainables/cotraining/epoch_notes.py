"""Notes on an epoch of a co-training: what was trained on which movements, and how a cycle was decided."""

from collections.abc import Mapping

from trainables.core.formatting import counted, number
from trainables.cotraining.config import SIDES
from trainables.training import metric_names as names

MODELS = {"diffusion": "diffusion", "physical": "physical model"}
DIGITS = 3


def epoch_notes(line: Mapping[str, float]) -> tuple[str, ...]:
    """Return the notes of an epoch from its metrics; none of the untrained models.

    >>> epoch_notes({"cotraining/cycle": 2, "train/real": 1513, "train/generated": 151})
    ('cycle 2: diffusion trained on 1,513 real + 151 generated movements, ratio 0.0998',)
    """
    if names.COTRAINING_CYCLE not in line:
        return ()
    return (_trained(line), *(_decided(line, side) for side in SIDES if names.cycle_metric(side, "kept") in line))


def _trained(line: Mapping[str, float]) -> str:
    cycle = int(line[names.COTRAINING_CYCLE])
    trained = "physical model fitted to" if names.TRAIN_PATH_SNR in line else "diffusion trained on"
    found = f"cycle {cycle}: {trained} " if cycle else f"warm-up: {trained} real movements"
    if cycle:
        real, generated = int(line[names.TRAIN_REAL]), int(line[names.TRAIN_GENERATED])
        found += f"{real:,} real + {counted(generated, 'generated movement')}, ratio {generated / real:.4f}"
    headlines = {model: line.get(names.headline_of(side)) for side, model in MODELS.items()}
    known = [f"{model} {number(value, DIGITS)}" for model, value in headlines.items() if value is not None]
    return f"{found}; AUC excess: {', '.join(known)}" if known else found


def _decided(line: Mapping[str, float], side: str) -> str:
    kept = "kept" if line[names.cycle_metric(side, "kept")] else "reverted"
    improvement, low = (line.get(names.cycle_metric(side, name)) for name in ("improvement", "improvement_low"))
    found = f"cycle {int(line[names.COTRAINING_CYCLE])}: {MODELS[side]} {kept}"
    if improvement is None:
        return f"{found}, without a comparison"
    return f"{found}, improvement of the AUC excess {number(improvement, DIGITS)}, lower bound {number(low, DIGITS)}"
