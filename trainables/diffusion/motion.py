"""Still or moving as a channel of its own, beside the steps: 1 where a step moves, -1 where it is still.

A recorded step of zero is a point mass. A network of steps alone has to hit it with a continuous value, and what it
leaves, a fraction of a pixel, is noise that rounding turns into single pixels where a hand rested, or into rests where
a hand was slow. With the channel the diffusion decides by its sign, and the steps only say how a moving one moves: a
still step is then exactly zero, and a moving one at least one pixel.

References: Analog Bits (Chen et al., 2023), section 2.1 on bits as real numbers of -1 and 1 that a threshold at 0
decodes, arXiv:2208.04202.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.data.canonical import STILL_PX, Canonical, turned, with_deltas
from trainables.data.dataset import Batch, Sequences
from trainables.data.splits.statistics import Statistics
from trainables.diffusion.latents.autoencoder import Autoencoder, in_latents
from trainables.generation.alignment import aligned

ROUNDING_PX = 1e-3  # more than float32 makes of a step of zero, or of half a pixel


def in_diffusion_space(batch: Batch, autoencoder: Autoencoder | None, motion: Statistics | None) -> Batch:
    """Return a batch as the diffusion sees it: in latents, with the channel of motion, or as it is.

    Args:
        motion: The statistics of the sequences where the diffusion has the channel, else None.
    """
    return in_latents(autoencoder, batch) if motion is None else with_motion(batch, motion)


def with_motion(batch: Batch, statistics: Statistics) -> Batch:
    """Return a batch of standardised steps with the channel of motion as the last one, zero under the mask."""
    (z, mask), condition = batch
    moving = statistics.expand(z).norm(dim=-1) > STILL_PX
    channel = (torch.where(moving, 1.0, -1.0) * mask)[..., None].to(z)
    return Batch(Sequences(torch.cat([z, channel], dim=2), mask), condition)


def without_motion(
    z: Float[Tensor, "N T C"],
    frame: Canonical,
    statistics: Statistics,
    ends: Int[Tensor, "N 2"] | None = None,
    align: bool = False,
) -> Float[Tensor, "N T C2"]:
    """Return samples without their channel of motion, which has decided their steps; zero under the mask.

    Args:
        z: Standardised steps, and the channel as the last one.
        ends: Whether the first and the last step move, which goes before the channel: 1, or -1 for a still one.
        align: Turn and scale the samples onto the net displacement of `frame`, before steps of less than a pixel that
            move become whole ones.
    """
    moving = _moving(z[..., -1], frame.mask, ends)
    still = statistics.compress(torch.zeros_like(z[:1, :1, :-1])).to(z)
    steps = torch.where(moving[..., None], z[..., :-1], still) * frame.mask[..., None]
    return at_least_a_pixel(aligned(steps, frame, statistics) if align else steps, moving, frame, statistics)


def _moving(
    channel: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"], ends: Int[Tensor, "N 2"] | None
) -> Bool[Tensor, "N T"]:
    """Return the steps that move: those with a channel above 0, the requested ones at both ends."""
    moving = channel > 0
    if ends is not None:
        last = (mask.sum(dim=1) - 1)[:, None]
        moving = moving.scatter(1, last, ends[:, 1:] > 0)
        moving[:, 0] = ends[:, 0] > 0
    return moving & mask


def at_least_a_pixel(
    z: Float[Tensor, "N T C"], moving: Bool[Tensor, "N T"], frame: Canonical, statistics: Statistics
) -> Float[Tensor, "N T C"]:
    """Return standardised steps of which those that move are no shorter than a pixel on the screen; others unchanged.

    A moving step that whole pixels would round to zero becomes the pixel along the axis of the screen that it is
    closest to; one of zero, the pixel closest to the direction of the movement.
    """
    placed = turned(with_deltas(frame, statistics.denormalise(z, frame)).steps_px(), frame.angle)
    short = moving & (placed.abs().amax(dim=-1) < STILL_PX + ROUNDING_PX)
    if not bool(short.any()):
        return z
    ahead = torch.stack([frame.angle.cos(), frame.angle.sin()], dim=1)[:, None]
    heading = torch.where(placed.abs().amax(dim=-1, keepdim=True) < ROUNDING_PX, ahead, placed)
    along_x = (heading[..., 0].abs() >= heading[..., 1].abs())[..., None]
    pixel = heading.sign() * torch.cat([along_x, ~along_x], dim=-1)
    whole = frame.with_steps_px(turned(torch.where(short[..., None], pixel, placed), -frame.angle))
    return torch.where(short[..., None], statistics.normalise(whole), z)
