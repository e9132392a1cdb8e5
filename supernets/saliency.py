"""How much the members and the weights of a network matter, over all of its parts.

Shapes: B batch, C channels, H W space.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from search_spaces import Slot
from supernets.network import PlainNetwork, module_name
from supernets.supernet import Supernet, families

BLACK = 1e-100
"""Pixels of the image that synaptic flow is taken of."""

TOGETHER = 8
"""Images whose outputs one backward pass takes together."""


def importance_of(supernet: Supernet, slot: Slot, group: str) -> Tensor:
    """How important the members of a slot's group are, 1-D: as the supernet was ranked."""
    scores = [
        module.get_buffer(f"importance_{group}")
        for family in families(slot.signature)
        for module in supernet.slots[module_name(slot.name)].get_submodule(family).modules()
        if group in getattr(module, "prunable", ())
    ]
    assert len(scores) == 1, f"{slot.name}: {len(scores)} parts have a group '{group}'"
    return scores[0]


def shapes_of(slots: Sequence[Slot]) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights of two or more axes of a network, by their names in it."""
    with torch.device("meta"):
        network = PlainNetwork(slots)
    return {
        name: tuple(weight.shape) for name, weight in network.named_parameters() if weight.ndim > 1
    }


def synaptic_flow(network: PlainNetwork, input_CHW: Sequence[int]) -> dict[str, Tensor]:
    """Of every weight of two or more axes, its share in the sum of all outputs; by name.

    That sum is of a network whose weights are all positive, without biases, for a constant image.
    That is as good as black, so that activations are straight lines: ReLU6 would else be flat.
    Batch norms scale by what they have learnt; layer norms, which make nothing of a constant, are
    left out.

    Args:
        network: Is changed.
        input_CHW: Shape of one image.

    Source: Tanaka et al., Pruning Neural Networks without any Data by Iteratively Conserving
    Synaptic Flow (2020), section 5, in double precision, because products over many layers are
    large.
    """
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith((".bias", ".running_mean")):
                tensor.zero_()
            elif tensor.is_floating_point():
                tensor.abs_()
    network = network.double().eval()
    weights = {name: w for name, w in network.named_parameters() if w.ndim > 1}
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.LayerNorm):
            network.set_submodule(name, nn.Identity())
    outputs = network(torch.full((1, *input_CHW), BLACK, dtype=torch.float64)) / BLACK
    gradients = torch.autograd.grad(outputs.sum(), list(weights.values()), allow_unused=True)
    return {
        name: torch.zeros_like(weight) if gradient is None else (weight * gradient).detach().abs()
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }


def removal_distortions(
    network: nn.Module,
    weights: Sequence[Tensor],
    images: Sequence[Tensor],
    sums: Callable[[Tensor], Tensor],
) -> list[Tensor]:
    """How much a network's outputs change without parts of weights, to second order.

    Squared, summed over outputs and images; by weight what `sums` gives, one value per part.

    Args:
        network: In evaluation mode.
        weights: Parameters of it.
        images: Batches of them, (B, C, H, W) each.
        sums: Of values in the shape of a weight those over each of its parts.

    Source: LeCun et al., Optimal Brain Damage (1990), section 2: Taylor's series in what is
    removed, whose first term is zero, here because outputs are compared with the network's own.
    Departures: second derivatives are those of Gauss and Newton, and not their diagonal alone:
    within a part all products count. And they are drawn: squared derivatives of outputs with random
    signs are in the mean those of all outputs, so a backward pass does for several images.
    """
    generator = torch.Generator().manual_seed(0)
    totals: list[Tensor] = [torch.zeros(()) for _ in weights]
    for batch_BCHW in (few for batch in images for few in batch.split(TOGETHER)):
        with torch.enable_grad():
            outputs = network(batch_BCHW)
            signs = 2.0 * torch.randint(0, 2, outputs.shape, generator=generator) - 1.0
            total = (outputs * signs.to(outputs.device)).sum()
            gradients = torch.autograd.grad(total, weights, allow_unused=True)
        for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            change = sums(weight.detach() * (0.0 if gradient is None else gradient))
            totals[i] = totals[i] + change.square()
    return totals
