"""What the published detector says of movements, recorded or drawn: both reach it by the chain that recordings go.

Whole pixels at 60 Hz, then the canonical form that the detector takes; what is no movement there has no score.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from serve.jobs import LONGEST_S, BadRequestError
from serve.models import Judge, Models
from trainables.data.canonical import Movements, encode, usable
from trainables.data.dataset import observe_recordings
from trainables.data.recordings import Recording


def score(models: Models, recordings: Sequence[Recording]) -> list[float]:
    """The probability of a bot for each recorded movement.

    Raises:
        NoDetectorError: none is published.
        BadRequestError: a recording that the canonical form does not hold.
    """
    models.detectors.follow()
    judge = models.detectors.at()
    for at, recording in enumerate(recordings):
        if recording.t_ms[-1] > 1000.0 * LONGEST_S:
            raise BadRequestError(f"movement {at}: `duration <= {LONGEST_S:g} s` must hold; cut it where it rests")
    movements = observe_recordings(recordings)
    scores = scored(judge, movements)
    for at in scores.isnan().nonzero().squeeze(1).tolist()[:1]:
        _, dropped = usable(movements.take(torch.tensor([at])), judge.detector.canonical)
        raise BadRequestError(f"movement {at}: {next(reason for reason, count in dropped.items() if count)}")
    return [float(value) for value in scores]


def scored(judge: Judge, movements: Movements) -> Float[Tensor, "N"]:
    """Scores in float64, NaN where the canonical form holds no such movement."""
    form = judge.detector.canonical
    rows, _ = usable(movements, form)
    scores = torch.full((len(movements),), torch.nan, dtype=torch.float64)
    if len(rows):
        scores[rows] = judge.detector.score(encode(movements.take(rows), form)).double()
    return scores
