"""Bot scores by the published detector, for recorded and for sampled movements, which take the same path to it.

Both become whole pixels at 60 Hz, then the canonical form of the detector; a movement that cannot be encoded has no
score.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from serve.jobs import MAX_DURATION_S, BadRequestError
from serve.models import Models, ServedDetector
from trainables.data.canonical import Movements, encode, usable
from trainables.data.readers.recordings import Recording
from trainables.data.splits.parts import observe_recordings


def score(models: Models, recordings: Sequence[Recording]) -> list[float]:
    """Return the probability of a bot for each recorded movement.

    Raises:
        NoDetectorError: no detector is published.
        BadRequestError: a recording cannot be brought into canonical form.
    """
    models.detectors.follow()
    detector = models.detectors.get()
    for at, recording in enumerate(recordings):
        if recording.t_ms[-1] > 1000.0 * MAX_DURATION_S:
            got = f"{recording.t_ms[-1] / 1000.0:g} s"
            law = f"`duration <= {MAX_DURATION_S:g} s`"
            raise BadRequestError(f"movement {at}: expected {law}, but got {got}; split it where the pointer rests")
    movements = observe_recordings(recordings)
    scores = scored(detector, movements)
    for at in scores.isnan().nonzero().squeeze(1).tolist()[:1]:
        _, dropped = usable(movements.take(torch.tensor([at])), detector.detector.canonical)
        raise BadRequestError(f"movement {at}: {next(reason for reason, count in dropped.items() if count)}")
    return [float(value) for value in scores]


def scored(detector: ServedDetector, movements: Movements) -> Float[Tensor, "N"]:
    """Return scores in float64, NaN for movements that have no canonical form."""
    form = detector.detector.canonical
    rows, _ = usable(movements, form)
    scores = torch.full((len(movements),), torch.nan, dtype=torch.float64)
    if len(rows):
        scores[rows] = detector.detector.score(encode(movements.take(rows), form)).double()
    return scores
