"""Closed-form costs of the layers that operators are made of.

`n` is the number of positions the layer is applied to. A convolution is always followed by a norm
unless it has a bias of its own: by the one that is given, or by a batch norm, behind which a ReLU
costs nothing but a node of a file.

Bytes of graphs are measured on files that `compress.export_onnx` writes; those of a layer are its
nodes and the headers of its tensors. Tensors that nodes of several slots share are not counted.
"""

import math

from search_spaces._blocks import has_blocks
from search_spaces._sides import Sides
from search_spaces._slot import GROUP_SIZE, PATTERN_GROUP, Cost, Shape
from search_spaces.norms._base import AbstractNorm

NODE_BYTES = 30
CONV_BYTES, LINEAR_BYTES, NORM_BYTES = 112, 150, 89
CLAMP_BYTES = 15
"""Half a node: a ReLU that follows a convolution is one, except where that multiplies integers."""

SUM_BYTES, TAP_BYTES = 850, 92
"""Of a sum over neighbours: padding and reshapes; and of each tap: parts, product, addition."""

PRODUCT_BYTES, PRODUCT_TAP_BYTES = 1500, 66
"""Of products with neighbours: padding, bias and masks; and of each tap."""

RESIZE_BYTES, CUT_BYTES = 120, 160
"""Of constants and attributes of an upsampling, and of cutting off rows and columns."""

FILE_BYTES = 90
"""Whatever the network."""


def nodes(number: int, *, values: int = 0) -> Cost:
    """Nodes that launch no kernel, such as reshapes, and bytes of constants that they read."""
    return Cost(graph_bytes=number * NODE_BYTES + values)


def conv(
    n: int, in_width: int, width: int, kernel_size: int, *, norm: AbstractNorm | None = None
) -> Cost:
    """Ordinary convolution and its norm."""
    weights = kernel_size * kernel_size * in_width * width
    own = layer(n, weights, width, graph_bytes=CONV_BYTES) + grouped(n, in_width, weights)
    return own + (batch_norm(width) if norm is None else norm.cost(n, width))


def normed_conv(n: int, in_width: int, width: int) -> Cost:
    """1x1 convolution with a bias behind a batch norm, which becomes a part of it."""
    return plain_conv(n, in_width, width, 1) + Cost(params=2 * in_width)


def bare_conv(n: int, in_width: int, width: int) -> Cost:
    """1x1 convolution with neither a bias nor a norm."""
    weights = in_width * width
    return layer(n, weights, width, graph_bytes=CONV_BYTES) + grouped(n, in_width, weights)


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
    own = layer(n, weights, width, graph_bytes=CONV_BYTES, is_depthwise=True)
    if not has_norm:
        return own + Cost(params=width, vectors=width)
    return own + (batch_norm(width) if norm is None else norm.cost(n, width))


def batch_norm(width: int) -> Cost:
    """Batch norm that folds: two parameters per channel, of which a bias remains."""
    return Cost(params=2 * width, vectors=width)


def clamp() -> Cost:
    """A ReLU behind a convolution: no kernel of its own."""
    return Cost(graph_bytes=CLAMP_BYTES)


def plain_conv(n: int, in_width: int, width: int, kernel_size: int) -> Cost:
    """Ordinary convolution with a bias and no norm: a linear layer on patches."""
    inputs = kernel_size * kernel_size * in_width
    return _with_bias(n, inputs, width) + grouped(n, in_width, inputs * width)


def linear(n: int, in_width: int, width: int) -> Cost:
    """Linear layer with bias."""
    own = _with_bias(n, in_width, width) + grouped(n, in_width, in_width * width)
    return own + matrix(n, in_width, width)


def unbiased(n: int, in_width: int, width: int) -> Cost:
    """Linear layer without bias."""
    weights = in_width * width
    own = layer(n, weights, width, graph_bytes=LINEAR_BYTES) + grouped(n, in_width, weights)
    return own + matrix(n, in_width, width)


def matrix(n: int, in_width: int, width: int) -> Cost:
    """What is known of a linear layer besides what is known of any layer."""
    weights = in_width * width
    blocked = weights if has_blocks(in_width, width) else 0
    return Cost(
        matrices=1,
        matrix_macs=n * weights,
        matrix_weights=weights,
        matrix_channels=width,
        matrix_grouped=0 if in_width % PATTERN_GROUP else weights,
        blocked=blocked,
        blocked_macs=n * blocked,
        matrix_groups=width * -(-in_width // GROUP_SIZE),
    )


def neighbour_sum(n: int, width: int, kernel_size: int) -> Cost:
    """Sum over the neighbours of every position with weights of its own, which are activations."""
    taps = kernel_size**2
    return Cost(
        attention=n * width * taps,
        elements=2 * taps * n * width,
        calls=2 * taps,
        graph_bytes=SUM_BYTES + taps * TAP_BYTES,
    )


def neighbour_product(size: Sides, width: int, heads: int, kernel_size: int) -> Cost:
    """Products of every position with its neighbours, with a bias per tap and head.

    Args:
        size: Of the map.
        width: Channels of all heads.
        heads: Each of which sums over its channels.
        kernel_size: Of the neighbourhood.
    """
    n, taps = math.prod(size), kernel_size**2
    masks = 4 * kernel_size * sum(size)
    return Cost(
        attention=n * width * taps,
        params=taps * heads,
        vectors=taps * heads,
        elements=2 * taps * n * width + 2 * taps * n * heads,
        calls=3 * kernel_size + taps + 2,
        graph_bytes=PRODUCT_BYTES + taps * PRODUCT_TAP_BYTES + masks,
    )


def grouped(n: int, in_width: int, weights: int) -> Cost:
    """Of a convolution or linear layer, what patterns of neighbouring inputs may take.

    Args:
        n: Positions.
        in_width: Channels that an output reads.
        weights: Of the layer.
    """
    if in_width % PATTERN_GROUP:
        return Cost()
    return Cost(grouped=weights, grouped_macs=n * weights)


def _with_bias(n: int, in_width: int, width: int) -> Cost:
    return layer(n, in_width * width, width, num_bias=width, graph_bytes=LINEAR_BYTES)


def layer(
    n: int,
    weights: int,
    width: int,
    *,
    graph_bytes: int,
    num_bias: int = 0,
    is_depthwise: bool = False,
) -> Cost:
    """What any convolution or linear layer costs, without what stands beside it.

    Args:
        n: Positions.
        weights: Of its kernel or matrix, each of which is used at every position.
        width: Channels that it gives.
        graph_bytes: Of its node and the headers of its tensors.
        num_bias: Values of its own bias.
        is_depthwise: Whether every channel reads one channel only.
    """
    macs = n * weights
    return Cost(
        dense=0 if is_depthwise else macs,
        depthwise=macs if is_depthwise else 0,
        params=weights + num_bias,
        weights=weights,
        vectors=num_bias,
        channels=width,
        elements=n * width,
        calls=1,
        layers=1,
        graph_bytes=graph_bytes,
    )


def layer_norm(n: int, width: int) -> Cost:
    """Layer norm over channels."""
    return Cost(
        params=2 * width,
        vectors=2 * width,
        elements=n * width,
        calls=1,
        graph_bytes=NORM_BYTES,
    )


def averaged(width: int) -> Cost:
    """Global average, and layer norm of it; with what a file has whatever the network."""
    average = Cost(elements=width, calls=1, quantizers=2)
    return average + nodes(2, values=FILE_BYTES) + layer_norm(1, width)


def enlarged(shape: Shape) -> Cost:
    """A map brought to whole multiples of its sides; what is too much is cut off. In fp32."""
    if shape.in_size == shape.size:
        return Cost()
    whole = tuple(side * n for side, n in zip(shape.in_size, shape.multiple, strict=True))
    own = pointwise(math.prod(whole), shape.width) + nodes(0, values=RESIZE_BYTES)
    if whole == shape.size:
        return own
    return own + pointwise(shape.pixels, shape.width) + nodes(0, values=CUT_BYTES)


def pointwise(n: int, width: int, *, calls: int = 1, quantizers: int = 0) -> Cost:
    """Additions, activations and copies: no parameters, one write of the map and a node per call.

    Args:
        n: Positions.
        width: Channels.
        calls: Of kernels.
        quantizers: As in `Cost`.
    """
    return Cost(
        elements=calls * n * width,
        calls=calls,
        quantizers=quantizers,
        graph_bytes=calls * NODE_BYTES,
    )
