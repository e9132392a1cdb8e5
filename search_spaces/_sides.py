"""Height and width of images, maps and windows, and how they are written wherever people or files
have them: on the command line, in configurations, picks, JSON and names.

A square is one number, 8, and anything else two, "8x6": a name says nothing new where nothing is.
"""

Sides = tuple[int, int]
"""Height and width, pixels."""

Resolution = int | str
"""Height and width of images as they are written: 96, or "96x128"."""


def written_sides(sides: Sides) -> Resolution:
    """8 for (8, 8), "8x6" for (8, 6)."""
    height, width = sides
    return height if height == width else f"{height}x{width}"


def read_sides(text: object) -> Sides:
    """The inverse of `written_sides`.

    Raises:
        ValueError: If there are not one or two whole numbers.
    """
    height, *others = map(int, str(text).split("x"))
    (width,) = others or (height,)
    return height, width


def longest_part(side: int, wanted: int) -> int:
    """The longest part of a side, up to the one wanted, by which it can be divided."""
    return next(part for part in range(min(side, wanted), 0, -1) if side % part == 0)
