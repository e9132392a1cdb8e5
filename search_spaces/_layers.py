"""Closed-form costs of the layers that operators are made of.

`n` is the number of positions the layer is applied to. A convolution is always followed by a norm
unless it has a bias of its own: by the one that is given, or by a batch norm, behind which a ReLU
costs nothing.
"""

from search_spaces._slot import Cost
from search_spaces.norms._base import AbstractNorm


def conv(
    n: int, in_width: int, width: int, kernel_size: int, *, norm: AbstractNorm | None = None
) -> Cost:
    """Ordinary convolution and its norm."""
    weights = kernel_size * kernel_size * in_width * width
    own = Cost(
        dense=n * weights,
        params=weights,
        weights=weights,
        channels=width,
        elements=n * width,
        calls=1,
    )
    return own + (batch_norm(width) if norm is None else norm.cost(n, width))


def depthwise(
    n: int,
    width: int,
    kernel_size: int,
    *,
    has_norm: bool,
    band: int = 0,
    norm: AbstractNorm | None = None,
) -> Cost:
    """Depthwise convolution with its norm, or with a bias where there is none.

    Args:
        n: Positions.
        width: Channels.
        kernel_size: Side of the kernel.
        has_norm: Whether a norm follows.
        band: The kernel's other side; 0 for a square one.
        norm: Which one.
    """
    weights = kernel_size * (band or kernel_size) * width
    own = Cost(
        depthwise=n * weights,
        params=weights,
        weights=weights,
        channels=width,
        elements=n * width,
        calls=1,
    )
    if not has_norm:
        return own + Cost(params=width, vectors=width)
    return own + (batch_norm(width) if norm is None else norm.cost(n, width))


def batch_norm(width: int) -> Cost:
    """Batch norm that folds: two parameters per channel, of which a bias remains."""
    return Cost(params=2 * width, vectors=width)


def plain_conv(n: int, in_width: int, width: int, kernel_size: int) -> Cost:
    """Ordinary convolution with a bias and no norm: a linear layer on patches."""
    return linear(n, kernel_size * kernel_size * in_width, width)


def channel_attention(n: int, width: int, kernel_size: int) -> Cost:
    """Global pool, convolution over neighbouring channels, sigmoid, scaling of the map."""
    return Cost(
        dense=width * kernel_size,
        params=kernel_size,
        vectors=kernel_size,
        elements=3 * width + n * width,
        calls=4,
    )


def linear(n: int, in_width: int, width: int) -> Cost:
    """Linear layer with bias."""
    weights = in_width * width
    return Cost(
        dense=n * weights,
        params=weights + width,
        weights=weights,
        vectors=width,
        channels=width,
        elements=n * width,
        calls=1,
    )


def layer_norm(n: int, width: int) -> Cost:
    """Layer norm over channels."""
    return Cost(params=2 * width, vectors=2 * width, elements=n * width, calls=1)


def pointwise(n: int, width: int, *, calls: int = 1) -> Cost:
    """Additions, activations and copies: no parameters, one write of the map per call."""
    return Cost(elements=calls * n * width, calls=calls)
