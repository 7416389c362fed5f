"""A picture of a screen as an array of colours: obstacles, target, pointer."""

import numpy as np
from numpy.typing import NDArray

BACKGROUND, OBSTACLE, TARGET, POINTER = (255, 255, 255), (120, 120, 120), (0, 158, 115), (213, 94, 0)
SIDE_PX = 480  # of the longer side of a picture
POINTER_PX = 4  # radius in the picture


def draw_screen(
    size_px: tuple[int, int],
    obstacles: NDArray[np.float32],
    goal: NDArray[np.float32],
    width_px: float,
    pointer: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Return the picture [height, width, 3] of a screen of (width, height) px, made smaller to `SIDE_PX`."""
    scale = max(size_px) / SIDE_PX
    y, x = (scale * np.indices([max(1, round(side / scale)) for side in reversed(size_px)])).astype(np.float32)
    picture = np.full((*x.shape, 3), BACKGROUND, dtype=np.uint8)
    for left, top, right, bottom in obstacles:
        picture[(x > left) & (x < right) & (y > top) & (y < bottom)] = OBSTACLE
    for (at_x, at_y), radius, colour in ((goal, width_px / 2.0, TARGET), (pointer, scale * POINTER_PX, POINTER)):
        picture[(x - at_x) ** 2 + (y - at_y) ** 2 <= radius**2] = colour
    return picture
