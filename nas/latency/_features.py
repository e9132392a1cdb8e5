"""What the latency model knows of a slot before anything is timed."""

import math

import numpy as np

from nas.targets import choose
from search_spaces import SearchSpace, Signature, Slot, declaration, format_of, slot_cost

FEATURES = ("calls", "dense", "depthwise", "attention", "elements")

VECTOR = 16
"""Channels that kernels take at a time, on the widest processors; others leave lanes empty."""

UNALIGNED = 2.0
"""Doublings of size that widths which fill vectors, and those which do not, are apart."""


def features(slot: Slot) -> np.ndarray:
    """`FEATURES` of one slot, shape (5,), in units near 1: calls, millions."""
    cost = slot_cost(slot)
    millions = (cost.dense, cost.depthwise, cost.attention, cost.elements)
    return np.array([cost.calls, *(value / 1e6 for value in millions)], float)


def coordinates(slot: Slot) -> list[float]:
    """Where a slot stands among those of its kind: 9 numbers, in doublings of a size.

    Positions, channels in, out and inside, thousands of multiply-adds of each sort (half as far
    apart, since they follow from sizes), and whether channels fill vectors.
    """
    shape, cost = slot.signature.shape, slot_cost(slot)
    inside = max((int(number) for number in slot.signature.kept.values()), default=shape.width)
    sizes = (shape.pixels, shape.in_width, shape.width, inside)
    macs = (cost.dense, cost.depthwise, cost.attention)
    return [
        *(math.log2(max(size, 1)) for size in sizes),
        *(0.5 * math.log2(1 + number / 1e3) for number in macs),
        *(UNALIGNED * (channels % VECTOR > 0) for channels in (shape.width, inside)),
    ]


def handed_over(slot: Slot) -> tuple[float, float]:
    """Millions of values that a slot takes from others, and that it hands on."""
    shape = slot.signature.shape
    taken = slot.num_inputs * shape.in_pixels * shape.in_width
    return taken / 1e6, shape.pixels * shape.width / 1e6


def context_units(space: SearchSpace, target: str, encodings_NC: np.ndarray) -> np.ndarray:
    """Changes of precision and the target's own terms of every encoding, (T, N)."""
    formats_NS = encodings_NC[:, space.columns("precision")]
    changes_N = (formats_NS[:, 1:] != formats_NS[:, :-1]).sum(axis=1)
    terms = choose(target).target.context_terms.values()
    own = [term(space, encodings_NC) for term in terms]
    return np.array([changes_N, *own], float)


def is_float_conv(signature: Signature) -> bool:
    """Whether it has convolutions that multiply floating-point numbers."""
    is_convolution = "convolution" in declaration(signature.operator).mixing
    return is_convolution and not format_of(signature.precision).is_integer
