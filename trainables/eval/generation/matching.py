"""Other users' movements in the place of a generator's: one for each evaluated movement, of the nearest condition.

A perfect generator is a new user of the same recorder. So the floor of a two-sample test is what it reads between the
evaluated users and others of their source, who moved under like conditions: duration and distance.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.eval.generation.by_source import equal_shares, rows_by_source
from trainables.eval.indices import Indices

REFERENCES = 16_384  # the cost of matching grows with their number, the distance to the nearest hardly falls


def evaluated_rows(held_out: Canonical, others: Canonical, most: int, seed: int) -> Int[Tensor, "N"]:
    """Return the rows of the held-out movements that are evaluated, ascending.

    A seeded choice of at most `most`, and of each source of no more than others moved there; of sources that have more
    equally many.

    Raises:
        ConfigError: A source of the held-out movements without other users.
    """
    available, beside = Counter(held_out.source), Counter(others.source)
    for source in sorted(available):
        law = f"movements of training users of {source}, beside whom its held-out users are evaluated"
        require(beside[source] > 0, law, "0", "train on it, or evaluate another source")
    shares = equal_shares({source: min(count, beside[source]) for source, count in available.items()}, most)
    return _chosen(held_out, shares, generator(seed, "validation rows"))


def references(training: Canonical, seed: int) -> Canonical:
    """Return the training movements that evaluated ones may be matched with: all, or a seeded choice of `REFERENCES`.

    Of sources that have more there are equally many.
    """
    if len(training) <= REFERENCES:
        return training
    shares = equal_shares(Counter(training.source), REFERENCES)
    return training.take(_chosen(training, shares, generator(seed, "references")))


def _chosen(movements: Canonical, shares: Mapping[str, int], random: torch.Generator) -> Int[Tensor, "N"]:
    """Return rows drawn by chance, ascending, of each source as many as its share."""
    left, chosen = dict(shares), list[int]()
    for row in torch.randperm(len(movements), generator=random).tolist():
        if left[movements.source[row]] > 0:
            left[movements.source[row]] -= 1
            chosen.append(row)
    return torch.tensor(sorted(chosen), dtype=torch.int64)


def matched_rows(evaluated: Canonical, others: Canonical) -> Int[Tensor, "N"]:
    """Return one row of the others per evaluated movement, of its source, no row twice, nearest in total.

    Distances are Euclidean over log duration and log distance, each in standard deviations of the evaluated movements
    of the source.

    Raises:
        ConfigError: Fewer others than evaluated movements of a source.
    """
    found = torch.empty(len(evaluated), dtype=torch.int64)
    rows, rows_of_others = rows_by_source(evaluated.source), rows_by_source(others.source)
    for source, own in rows.items():
        ours, theirs = torch.from_numpy(own), torch.from_numpy(rows_of_others.get(source, own[:0]))
        law = f"`movements of other users of {source} >= {len(ours)}`, one per evaluated movement"
        require(len(theirs) >= len(ours), law, str(len(theirs)), "evaluate fewer movements")
        found[ours] = theirs[nearest_rows(evaluated.take(ours), others.take(theirs))]
    return found


def nearest_rows(evaluated: Canonical, others: Canonical) -> Int[Tensor, "N"]:
    """Return one row of at least as many others per evaluated movement, whatever their sources; see `matched_rows`."""
    ours, theirs = (torch.stack([part.duration_s.log(), part.distance_px.log()], dim=1) for part in (evaluated, others))
    scale = ours.std(dim=0).clamp(min=1e-6)
    cost = torch.cdist((ours / scale).double(), (theirs / scale).double()).square().numpy()
    rows: Indices = np.asarray(linear_sum_assignment(cost)[1], dtype=np.int64)
    return torch.from_numpy(rows)
