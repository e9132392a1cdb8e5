"""Sizes that were fixed to a number of images, for any number of them.

Exporters put the number of images that they were given into the sizes of reshapes. Where in a
tensor the images are is known if it is carried out for another number, too: along the axis whose
length differs. A reshape keeps the order of values, so what lies outside of the images stays so.
"""

import math
from collections.abc import Sequence


def axis_of_images(fixed: Sequence[int], other: Sequence[int]) -> int | None:
    """The axis along which the shapes of a tensor for two numbers of images differ."""
    pairs = zip(fixed, other, strict=True)
    return next((axis for axis, (a, b) in enumerate(pairs) if a != b), None)


def free_sizes(sizes: Sequence[int], outside: int, images: int) -> tuple[list[int], int]:
    """Sizes of a reshape with -1 for the axis that has the images.

    Args:
        sizes: For the fixed number of images.
        outside: Product of what is slower than the images in what is reshaped.
        images: The fixed number of them.

    Returns:
        The sizes, and what of that axis is slower than the images.
    """
    before = 1
    axis, within = 0, outside
    for i, size in enumerate(sizes):
        if before == outside and size % images == 0:
            axis, within = i, 1
            break
        if before < outside <= before * size:
            axis, within = i, outside // before
        before *= size
    is_last = axis == len(sizes) - 1 and axis > 0
    if is_last and within == 1 and images == 1 and outside > 1:
        # NOTE: one image may belong to either side; what linear layers read does not grow.
        axis -= 1
        within = outside // math.prod(sizes[:axis])
    return [-1 if i == axis else size for i, size in enumerate(sizes)], within
