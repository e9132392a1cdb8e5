"""Cutting a map into windows of one size, and back.

Shapes: B batch, H W space, G windows, T tokens of a window, C channels.
"""

from torch import Tensor, nn

from search_spaces._sides import Sides


def covered(grid: Sides, window: Sides) -> Sides:
    """Sides of the map that so many windows cover."""
    return grid[0] * window[0], grid[1] * window[1]


def padded(x_BHWC: Tensor, size: Sides, sides: Sides) -> Tensor:
    """A map of this size, with zeros on the right and below up to these sides."""
    if sides == size:
        return x_BHWC
    return nn.functional.pad(x_BHWC, (0, 0, 0, sides[1] - size[1], 0, sides[0] - size[0]))


def cut(x_BHWC: Tensor, size: Sides, sides: Sides) -> Tensor:
    """The inverse of `padded`."""
    return x_BHWC if sides == size else x_BHWC[:, : size[0], : size[1]]


def parted(x_BHWC: Tensor, grid: Sides, window: Sides, channels: int) -> Tensor:
    """The windows of a map that they cover: (B * G, T, C)."""
    (rows, columns), (height, width) = grid, window
    if rows * columns > 1:
        x_BHWC = x_BHWC.reshape(-1, rows, height, columns, width, channels)
        x_BHWC = x_BHWC.permute(0, 1, 3, 2, 4, 5)
    return x_BHWC.reshape(-1, height * width, channels)


def merged(windows: Tensor, grid: Sides, window: Sides, channels: int) -> Tensor:
    """The inverse of `parted`: (B, H, W, C)."""
    (rows, columns), (height, width) = grid, window
    if rows * columns > 1:
        windows = windows.reshape(-1, rows, columns, height, width, channels)
        windows = windows.permute(0, 1, 3, 2, 4, 5)
    return windows.reshape(-1, *covered(grid, window), channels)
