"""Costs that channel attentions share."""

from search_spaces import _layers as layers
from search_spaces._slot import Cost


def pooled(channels: int) -> Cost:
    """The global average of every channel, and the vector of them."""
    return Cost(elements=channels, calls=1, quantizers=1) + layers.nodes(2)


def squeezed_gates(channels: int, inner: int) -> Cost:
    """Gates of channels: average, linear layer, SiLU, linear layer, sigmoid."""
    act = layers.pointwise(1, inner, calls=2, quantizers=1)
    to_inner, to_gates = layers.linear(1, channels, inner), layers.linear(1, inner, channels)
    return pooled(channels) + to_inner + act + to_gates + sigmoid(1, channels)


def one_map(n: int, channels: int) -> Cost:
    """A 1x1 convolution to one channel, without bias."""
    own = layers.layer(n, channels, 1, graph_bytes=layers.CONV_BYTES)
    return own + layers.grouped(n, channels, channels)


def sigmoid(n: int, channels: int) -> Cost:
    """Of what decides about gates, which then have their shape beside a map."""
    return layers.pointwise(n, channels) + layers.nodes(1)


def scaled(n: int, channels: int) -> Cost:
    """The product of a map and its gates, both of which are integers where any are multiplied."""
    return layers.pointwise(n, channels, quantizers=2)
