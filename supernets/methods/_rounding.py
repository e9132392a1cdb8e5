"""What few bits do to a member's weights, as offsets of the shared ones for one batch.

Weights of convolutions and linear layers, as far as the member uses them, lie on a grid of equal
steps around zero, or get noise of one step in its place; the largest integer stands for the largest
weight of an output channel. The loss is that of the moved weights, and its gradient is given to
those that they were moved from (`Context.moved`), as if rounding changed nothing (Bengio et al.,
Estimating or Propagating Gradients Through Stochastic Neurons, 2013). Departures: the grid is this
one whatever a format's own is; biases, norms, tables and activations stay as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import Slot
from search_spaces.formats._base import TRAINED_BITS, format_of
from supernets._elastic import AbstractElastic
from supernets.network import module_name
from supernets.supernet import Supernet, families

if TYPE_CHECKING:
    from supernets.context import Context

SMALLEST_STEP = 1e-8

Layer = nn.Conv2d | nn.Linear


def offsets(
    context: "Context",
    encoding: Sequence[int],
    bits_of: Callable[[Slot, Layer], int],
    change: Callable[[Tensor, int], Tensor],
) -> list[Tensor | None]:
    """What is added to the shared weights, by parameter; None where nothing is.

    Args:
        context: Of the batch.
        encoding: The member.
        bits_of: Bits of the weights of one layer; as many as trained ones have for no change.
        change: Of a weight and its bits, what is added to it: the same shape.
    """
    parts, changes = [], []
    for slot in context.supernet.space.slots(encoding):
        for weight, layer in layer_weights(context.supernet, slot):
            bits = bits_of(slot, layer)
            if bits < TRAINED_BITS:
                parts.append(weight)
                changes.append(context.scale * change(weight.detach(), bits))
    if not parts:
        return [None] * len(context.parameters)
    # A member's weights are selected from the shared ones: the gradient puts changes back in place.
    # Gradients of shared weights are divided by the scale.
    return list(torch.autograd.grad(parts, context.parameters, changes, allow_unused=True))


def layer_weights(supernet: Supernet, slot: Slot) -> Iterator[tuple[Tensor, Layer]]:
    """A member's weights of one slot that formats decide about, and the layer at its largest."""
    shared = supernet.slots[module_name(slot.name)]
    for place in families(slot.signature):
        family = shared.get_submodule(place)
        assert isinstance(family, AbstractElastic)
        for name, weight in family.weights(slot.signature).items():
            owner, _, kind = name.rpartition(".")
            layer = family.full.get_submodule(owner)
            if kind == "weight" and isinstance(layer, Layer):
                yield weight, layer


def bits_of_format(slot: Slot, layer: Layer) -> int:
    """Bits of a layer's weights in the format of its slot."""
    of_matrices, _, of_convolutions, _ = format_of(slot.signature.precision).bits
    return of_matrices if isinstance(layer, nn.Linear) else of_convolutions


def step_of(weight: Tensor, bits: int) -> Tensor:
    """The grid's step of each output channel, shaped to multiply the weight."""
    largest = weight.abs().flatten(1).amax(1) / (2 ** (bits - 1) - 1)
    return largest.clamp_min(SMALLEST_STEP).reshape(-1, *[1] * (weight.ndim - 1))


def rounding_error(weight: Tensor, bits: int) -> Tensor:
    """From the weight to the nearest value of the grid."""
    step = step_of(weight, bits)
    return (weight / step).round_().mul_(step).sub_(weight)


def uniform_noise(weight: Tensor, bits: int, rng: np.random.Generator) -> Tensor:
    """Uniform within half a step to either side, of variance step^2 / 12."""
    drawn = torch.from_numpy(rng.random(tuple(weight.shape), dtype=np.float32))
    return drawn.sub_(0.5).to(weight.device, weight.dtype).mul_(step_of(weight, bits))
