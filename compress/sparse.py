"""Sparsity patterns on networks: which weights remain, and training that keeps it so.

Of each group of neighbouring inputs those of the largest magnitude remain, after channels and heads
have been pruned. Before a network is trained further the choice is made once, and what has gone
stays 0 whatever the optimizer does. Formats keep zeros: their grids have one.

Source: Mishra et al., Accelerating Sparse Deep Neural Networks (2021), section 4.1, and Yu et al.,
Boost Vision Transformer with GPU-Friendly Sparsity and Quantization (2023), section 3: magnitude,
then training with the mask, then quantization-aware training with the same mask. Departures: no
features of the teacher are compared, as no finalist's are; convolutions have patterns, too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces import DENSE, PATTERN_GROUP, Slot, pattern_of
from supernets.network import PlainNetwork, module_name

Making = Callable[[nn.Module], nn.Module]
"""What is trained of a network: itself, or a module that has its weights and trains them."""

Masks = Sequence[tuple[Tensor, Tensor]]
"""Weights, and where theirs remain: booleans of the same shape."""


def mask_of(weight: Tensor, kept: int) -> Tensor:
    """Where the largest magnitudes of each group are.

    Args:
        weight: (outputs, inputs, ...); inputs are whole groups.
        kept: Of each group.
    """
    groups = weight.detach().unflatten(1, (-1, PATTERN_GROUP)).abs()
    largest = groups.topk(kept, dim=2).indices
    return torch.zeros_like(groups, dtype=torch.bool).scatter_(2, largest, True).flatten(1, 2)


def groupable(module: nn.Module) -> Iterator[Tensor]:
    """Weights that patterns may take: of layers whose inputs are whole groups."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.shape[1] % PATTERN_GROUP == 0:
            yield layer.weight


@torch.no_grad()
def sparsify_(network: PlainNetwork, arch: Sequence[Slot]) -> Masks:
    """Set the weights to 0 that the patterns of a network's slots leave out, in place.

    A network that keeps to them already does not change.
    """
    masks = [
        (weight, mask_of(weight, pattern_of(slot.signature.pattern).kept))
        for slot in arch
        if slot.signature.pattern != DENSE
        for weight in groupable(network.get_submodule(module_name(slot.name)))
    ]
    _apply_(masks)
    return masks


def kept_sparse(make: Making, arch: Sequence[Slot]) -> Making:
    """`make`, with weights that training leaves 0 where the patterns of the slots say so."""
    is_dense = all(slot.signature.pattern == DENSE for slot in arch)
    return make if is_dense else KeptSparse(make, arch)


@dataclass(frozen=True)
class KeptSparse:
    """What is trained of a network with patterns; goes to other processes.

    Attributes:
        make: Of the network, or of one that has its weights.
        arch: The network's slots.
    """

    make: Making
    arch: Sequence[Slot]

    def __call__(self, network: nn.Module) -> nn.Module:
        """The module; whoever computes with it, or reads a state, sees zeros where they belong.

        Gradients need not be masked, and it would not do: an optimizer may move weights without.
        """
        assert isinstance(network, PlainNetwork)
        masks = sparsify_(network, self.arch)

        def keep(*_: Any) -> None:
            nonlocal masks
            masks = [(weight, mask.to(weight.device)) for weight, mask in masks]
            _apply_(masks)

        module = self.make(network)
        module.register_forward_pre_hook(keep)
        for stateful in {module, network}:
            stateful.register_state_dict_pre_hook(keep)
        return module


@torch.no_grad()
def _apply_(masks: Masks) -> None:
    for weight, mask in masks:
        weight.mul_(mask)
