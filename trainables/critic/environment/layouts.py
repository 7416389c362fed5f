"""Layouts of the screen: rectangles that the pointer cannot enter, as shares of width and height.

A layout is data, so that it fits a screen of any size: (left, top, right, bottom), y downwards as on a screen. On a
screen in pixels the sides are rounded to whole ones: a position outside of a rectangle is then also outside once it is
rounded to whole pixels.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""
LAYOUTS: dict[str, tuple[Rectangle, ...]] = {
    "free": (),
    "obstacles": (
        (0.14, 0.20, 0.26, 0.46),
        (0.40, 0.58, 0.52, 0.90),
        (0.44, 0.10, 0.60, 0.30),
        (0.68, 0.42, 0.78, 0.74),
        (0.16, 0.70, 0.30, 0.80),
    ),
    # three by three cells of which the left and the middle one of the middle row are wall
    "u_maze": ((0.0, 1 / 3, 2 / 3, 2 / 3),),
}
"""Name -> obstacles."""


def rectangles(layout: str, width_px: int, height_px: int) -> Float[Tensor, "R 4"]:
    """Return the obstacles of a layout on a screen, sides in whole pixels."""
    scale = torch.tensor([width_px - 1, height_px - 1] * 2, dtype=torch.float64)
    shares = torch.tensor(LAYOUTS[layout], dtype=torch.float64).reshape(-1, 4)
    return (shares * scale).round().to(torch.get_default_dtype())


def borders(width_px: int, height_px: int) -> Float[Tensor, "4 4"]:
    """Return the outside of the screen as rectangles without an outer end: a position x is in [0, width - 1]."""
    far, right, bottom = torch.inf, width_px - 1.0, height_px - 1.0
    return torch.tensor(
        [[-far, -far, 0.0, far], [right, -far, far, far], [-far, -far, far, 0.0], [-far, bottom, far, far]]
    )
