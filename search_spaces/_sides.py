"""Height and width of a map or a window, and how they are written in picks, JSON and names.

A square is one number, 8, and anything else two, "8x6": a name says nothing new where nothing is.
"""

Sides = tuple[int, int]
"""Height and width."""


def written(sides: Sides) -> int | str:
    """8 for (8, 8), "8x6" for (8, 6)."""
    height, width = sides
    return height if height == width else f"{height}x{width}"


def read(text: object) -> Sides:
    """The inverse of `written`.

    Raises:
        ValueError: If there are not one or two whole numbers.
    """
    height, *others = map(int, str(text).split("x"))
    (width,) = others or (height,)
    return height, width
