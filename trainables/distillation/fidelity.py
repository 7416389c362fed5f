"""How far samples lie from those of another model under the same conditions and from the same noise."""

from trainables.data.canonical import Canonical


def rms_px(samples: Canonical, reference: Canonical) -> float:
    """Return the root mean square distance of positions in pixels, over all steps of all movements.

    Positions are those after each valid step; row i of both is the same movement, of the same length.
    """
    apart = (samples.steps_px() - reference.steps_px())[..., :2] * reference.mask[..., None]  # beside them: time
    squares = apart.cumsum(dim=1).square().sum(dim=-1)
    return float(squares[reference.mask].mean().sqrt())
