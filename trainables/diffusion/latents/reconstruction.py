"""Reconstruction error of the autoencoder in kinematic terms: the ceiling of any diffusion over its latents.

Originals and reconstructions both go through the chain that samples go through (whole pixels at 60 Hz, canonical form),
so that what differs between them is the autoencoder alone. A generator in the latent space can at best reach the
two-sample accuracy given here.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainables.core.config import require
from trainables.data.canonical import Canonical, Movements, decode, reobserve, with_deltas
from trainables.data.config import CanonicalConfig
from trainables.data.representation import prefix_mask
from trainables.data.splits.statistics import Statistics
from trainables.diffusion.latents.autoencoder import Autoencoder
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.metrics import classifier_two_sample_test

RELATIVE: Mapping[str, str] = {
    "jerk_error": "log_jerk_rms",
    "heading_change_error": "mean_abs_heading_change",
    "still_share_error": "still_share",
}
"""Reported relative errors and the features that they are of; jerk is compared without its logarithm."""


@torch.no_grad()
def reconstruct(autoencoder: Autoencoder, canonical: Canonical, statistics: Statistics) -> Canonical:
    """The movements after encoding and decoding, with the conditions and masks that they had."""
    device = autoencoder.mean.device
    z, mask = statistics.normalise(canonical).to(device), canonical.mask.to(device)
    latents, _ = autoencoder.encode(z, mask)
    return with_deltas(canonical, statistics.denormalise(autoencoder.decode(latents, mask).cpu(), canonical))


def reconstruction_report(
    autoencoder: Autoencoder, canonical: Canonical, statistics: Statistics, config: CanonicalConfig
) -> dict[str, float]:
    """Errors of reconstructed movements against the originals, after whole pixels and re-observation.

    `position_rms_px` is the distance between the positions at the same time, root mean square over steps. The relative
    errors are mean absolute differences over the mean of the originals: of path length, jerk, heading change and share
    of still steps. `c2st` is the accuracy of the default probe with folds by group, `c2st_auc` its AUC; `rejected` is
    the share of reconstructions that are no movements any more, and are left out of everything.

    Raises:
        ConfigError: none of the reconstructions is a movement.
    """
    decoded = reconstruct(autoencoder, canonical, statistics)
    fake, rows = reobserve(decoded, config)
    require(
        len(rows) > 0,
        "at least one reconstruction to be a movement",
        f"none of {len(canonical)}",
        "train the autoencoder",
    )
    real, kept = reobserve(canonical.take(rows), config)
    require(len(kept) == len(rows), "every original to survive re-observation", f"{len(kept)} of {len(rows)}")
    screen = [decode(each.take(rows), config) for each in (canonical, decoded)]
    real_features, fake_features = (movement_features(each.deltas, each.mask) for each in (real, fake))
    test = classifier_two_sample_test(
        real_features, fake_features, real_groups=real.group, fake_groups=fake.group, columns=FEATURES
    )
    return {
        "position_rms_px": position_rms_px(*screen),
        "path_length_error": relative_error(*(movements.steps_px.norm(dim=2).sum(dim=1) for movements in screen)),
        **{
            name: relative_error(*(_column(f, of) for f in (real_features, fake_features)))
            for name, of in RELATIVE.items()
        },
        "c2st": test.accuracy,
        "c2st_auc": test.auc,
        "rejected": 1.0 - len(rows) / len(canonical),
    }


def position_rms_px(real: Movements, fake: Movements) -> float:
    """Root mean square distance of the positions after each step of the originals; both start at the same point."""
    steps = max(real.steps_px.shape[1], fake.steps_px.shape[1])
    apart = (_positions(fake, steps) - _positions(real, steps)).square().sum(dim=2)
    return apart[prefix_mask(real.length, steps)].mean().sqrt().item()


def _positions(movements: Movements, steps: int) -> Float[Tensor, "N S 2"]:
    """Return the position of each movement after each of `steps` steps; it rests after its end."""
    return F.pad(movements.steps_px, (0, 0, 0, steps - movements.steps_px.shape[1])).cumsum(dim=1)


def relative_error(real: Float[Tensor, "N"], fake: Float[Tensor, "N"]) -> float:
    """mean |fake - real| / mean |real|: no division by a single movement's zero."""
    return ((fake - real).abs().mean() / real.abs().mean()).item()


def _column(features: Float[Tensor, "N F"], name: str) -> Float[Tensor, "N"]:
    column = features[:, FEATURES.index(name)]
    return column.expm1() if name.startswith("log_") else column
