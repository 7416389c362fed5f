"""Goal consistency of movements: how well each step fits the end of its movement, beside ends that it did not come to.

    c_i  = f(s_i, a_i, g)                    g: the end, i = 0 ... S - 1
    m_ik = c_i - f(s_i, a_i, R_k g)          R_k: rotation about the start by `TURNS_DEG[k]`

A movement has five columns: mean, minimum and slope of c over its steps, the mean of m, and the share of steps whose
own end has the largest f of all goals.

Decoys are the movement's own end rotated about its start, by 180 degrees too, which mirrors it. They are as far away as
the end, so that m says where steps lead and not how long they are; they need no seed, no table of other users' ends
beside the critic, and no neighbour: the columns are a function of the movement alone. The price: where a source has few
directions, some decoys are positions that the critic has met as no user's goal.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.critic.api import Critic
from trainables.critic.episodes import POSITION, STATE, episodes_of_split
from trainables.critic.similarity import SIMILARITIES
from trainables.data.canonical import Canonical, rotate
from trainables.data.config import RATE_HZ
from trainables.data.representation import prefix_mask

COLUMNS = ("consistency_mean", "consistency_minimum", "consistency_slope", "decoy_margin", "first_share")
TURNS_DEG = (-120.0, -60.0, -30.0, 30.0, 60.0, 120.0, 180.0)
CHUNK = 64  # movements whose values are in memory at the same time


def consistency(critic: Critic, movements: Canonical) -> Float[Tensor, "N 5"]:
    """Return the columns `COLUMNS` of movements, float64; rows are independent up to rounding."""
    parts = [summaries(*values(critic, movements.take(rows))) for rows in torch.arange(len(movements)).split(CHUNK)]
    return torch.cat(parts)


@torch.no_grad()
def values(critic: Critic, movements: Canonical) -> tuple[Float[Tensor, "N S K"], Bool[Tensor, "N S"]]:
    """Return f of each step with the movement's own end, then with its decoys; and the mask of the steps."""
    state, action, length = episodes_of_split(movements, critic.canonical)
    end = state[length.cumsum(dim=0) - 1][:, : STATE if critic.goal_velocity else POSITION]
    goals = torch.cat([end[:, None], decoys(end)], dim=1)
    psi = critic.network.embed_goal(goals.flatten(0, 1).to(critic.device)).unflatten(0, goals.shape[:2])
    rows = prefix_mask(length, int(length.max()))
    embedded = critic.network.embed(state.to(psi.device), action.to(psi.device))
    phi = embedded.new_zeros(*rows.shape, embedded.shape[-1])
    phi[rows.to(phi.device)] = embedded
    f = SIMILARITIES[critic.similarity](phi, psi).cpu() / critic.temperature
    return f[:, :-1], prefix_mask(length - 1, rows.shape[1] - 1)  # the last state has no step


def decoys(end: Float[Tensor, "N G"]) -> Float[Tensor, "N K G"]:
    """Return the ends rotated about the start, in whole pixels as the ends are; a velocity rotates with them."""
    turns = torch.tensor(TURNS_DEG, dtype=end.dtype) * (math.pi / 180)
    pairs = end.unflatten(1, (-1, POSITION)).repeat_interleave(len(turns), dim=0)
    turned = rotate(pairs, turns.repeat(len(end))).flatten(1).unflatten(0, (len(end), len(turns)))
    return torch.cat([turned[..., :POSITION].round(), turned[..., POSITION:]], dim=-1)


def summaries(f: Float[Tensor, "N S K"], mask: Bool[Tensor, "N S"]) -> Float[Tensor, "N 5"]:
    """Return the columns of values, float64; the first of the goals is the own one, and each row has a step or more.

    The slope is that of the least squares line over time in seconds, 0 for a single step. Where m goals share the
    largest f, the own one among them, a step counts 1 / m.
    """
    f, steps = f.double().masked_fill(~mask[..., None], 0.0), mask.sum(dim=1)
    own, others = f[..., 0], f[..., 1:]
    best, tied = (others <= own[..., None]).all(dim=-1), (f == own[..., None]).sum(dim=-1)

    def mean(values: Float[Tensor, "N S"]) -> Float[Tensor, "N"]:
        return (values * mask).sum(dim=1) / steps

    time = (torch.arange(mask.shape[1], dtype=torch.float64) / RATE_HZ).expand(mask.shape)
    time = time - mean(time)[:, None]
    spread = mean(time.square())
    slope = torch.where(spread > 0, mean(time * own) / spread.where(spread > 0, 1.0), 0.0)
    minimum = own.masked_fill(~mask, torch.inf).amin(dim=1)
    return torch.stack([mean(own), minimum, slope, mean(own - others.mean(dim=-1)), mean(best.double() / tied)], dim=1)
