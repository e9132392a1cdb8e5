"""Slots that offer no operator: stem, downsampling and head. They take widths and precision."""

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature

FIXED = ("stem", "downsample", "head")


def stem_kernel_size(stride: int) -> int:
    """7 for stride 4, else 3."""
    return max(3, 2 * stride - 1)


def fixed_cost(signature: Signature) -> Cost:
    """Cost of a stem, a downsampling (3x3, stride 2) or a head (3x3, pool, norm, linear)."""
    shape = signature.shape
    if signature.operator == "stem":
        kernel_size = stem_kernel_size(signature.pick.number("stride"))
        return layers.conv(shape.pixels, shape.in_width, shape.width, kernel_size)
    if signature.operator == "downsample":
        return layers.conv(shape.pixels, shape.in_width, shape.width, 3)
    return (
        layers.conv(shape.in_size**2, shape.in_width, shape.in_width, 3)
        + Cost(elements=shape.in_width, calls=1)
        + layers.layer_norm(1, shape.in_width)
        + layers.linear(1, shape.in_width, shape.width)
    )
