"""Other users' movements in the place of a generator's: one for each evaluated movement, of the nearest condition.

A perfect generator is a new user of the same recorder. So the floor of a two-sample test is what it reads between the
evaluated users and others of their source, who moved under like conditions: duration and distance.
"""

import numpy as np
import torch
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.eval.indices import Indices


def matched_rows(evaluated: Canonical, others: Canonical) -> Int[Tensor, "N"]:
    """Return one row of the others per evaluated movement, no row twice, nearest in total.

    Distances are Euclidean over log duration and log distance, each in standard deviations of the evaluated movements.

    Raises:
        ConfigError: fewer others than evaluated movements.
    """
    law = f"`movements of other users >= {len(evaluated)}`, one per evaluated movement"
    require(len(others) >= len(evaluated), law, str(len(others)), "evaluate fewer movements")
    ours, theirs = (torch.stack([part.duration_s.log(), part.distance_px.log()], dim=1) for part in (evaluated, others))
    scale = ours.std(dim=0).clamp(min=1e-6)
    cost = torch.cdist((ours / scale).double(), (theirs / scale).double()).square().numpy()
    rows: Indices = np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)
    return torch.from_numpy(rows)
