"""Costs of the two gates of polarized self-attention."""

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.channel_attentions._gates import one_map, pooled, sigmoid


def inner_channels(channels: int) -> int:
    """Half, at least one."""
    return max(1, channels // 2)


def channel_gates(n: int, channels: int, inner: int) -> Cost:
    """Of what attention to positions has seen: 2 * n * channels + 2 * channels * inner."""
    return (
        one_map(n, channels)
        + layers.pointwise(n, 1)
        + Cost(attention=n * channels, elements=channels, calls=1, quantizers=1)
        + layers.nodes(4)
        + layers.linear(1, channels, inner)
        + layers.linear(1, inner, channels)
        + layers.layer_norm(1, channels)
        + sigmoid(1, channels)
    )


def position_gates(n: int, channels: int, inner: int) -> Cost:
    """Of every position's product with the query: n * channels + 2 * channels * inner."""
    return (
        pooled(channels)
        + layers.unbiased(1, channels, inner)
        + layers.pointwise(1, inner)
        + Cost(attention=inner * channels, params=inner * channels, vectors=inner * channels)
        + Cost(attention=n * channels, elements=channels + n, calls=2)
        + layers.nodes(5)
        + sigmoid(n, 1)
    )
