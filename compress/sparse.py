"""Sparsity patterns on networks: which weights remain, and training that keeps it so.

Of each group of neighbouring inputs those of the largest magnitude remain. Of a linear layer's
blocks those remain without which, on images, the network's outputs would change most, or the
largest where there are no images. Patterns come after channels and heads have been pruned. Before a
network is trained further the choice is made once, and what has gone stays 0 whatever the optimizer
does. Formats keep zeros: their grids have one.

Sources: Mishra et al., Accelerating Sparse Deep Neural Networks (2021), section 4.1, and Yu et al.,
Boost Vision Transformer with GPU-Friendly Sparsity and Quantization (2023), section 3: magnitude,
then training with the mask, then quantization-aware training with the same mask. Xu et al., LPViT:
Low-Power Semi-structured Pruning for Vision Transformers (2024): blocks, by the second order of
Taylor's series on calibration data (`supernets/saliency.py`). Departures: no features of the
teacher are compared, as no finalist's are; convolutions have groups, too. Which layers lose how
many blocks is a policy: the paper's objective, distortion and a modelled cost of what remains, is
that of `nas/allocations/distortion.py` with a limit in place of a weight of the cost.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces import (
    BLOCK_SIDE,
    DENSE,
    PATTERN_GROUP,
    AbstractPattern,
    Slot,
    has_blocks,
    pattern_of,
)
from supernets._merged import WeightedConv2d
from supernets.calibrate import recalibrated
from supernets.network import PlainNetwork, module_name
from supernets.saliency import removal_distortions

Making = Callable[[nn.Module], nn.Module]
"""What is trained of a network: itself, or a module that has its weights and trains them."""

Masks = Sequence[tuple[Tensor, Tensor]]
"""Weights, and where theirs remain: booleans of the same shape."""


def mask_of(weight: Tensor, pattern: AbstractPattern, scores_RC: Tensor | None = None) -> Tensor:
    """Where the weights are that remain.

    Args:
        weight: (outputs, inputs, ...), which the pattern fits.
        pattern: Says how many.
        scores_RC: How important each block is, a row per row of blocks; None for magnitudes.
    """
    if pattern.is_blocked:
        scores_RC = block_sums(weight.detach().square()) if scores_RC is None else scores_RC
        largest = scores_RC.flatten().topk(pattern.kept_of(scores_RC.numel())).indices
        remains = torch.zeros_like(scores_RC.flatten(), dtype=torch.bool)
        remains_RC = remains.index_fill_(0, largest, True).reshape(scores_RC.shape)
        return remains_RC.repeat_interleave(BLOCK_SIDE, 0).repeat_interleave(BLOCK_SIDE, 1)
    groups = weight.detach().unflatten(1, (-1, PATTERN_GROUP)).abs()
    largest = groups.topk(pattern.kept, dim=2).indices
    return torch.zeros_like(groups, dtype=torch.bool).scatter_(2, largest, True).flatten(1, 2)


def block_sums(values: Tensor) -> Tensor:
    """Of a matrix in whole blocks the sum over each: (rows of blocks, blocks of each)."""
    return values.unflatten(1, (-1, BLOCK_SIDE)).unflatten(0, (-1, BLOCK_SIDE)).sum((1, 3))


def taken_by(pattern: AbstractPattern, module: nn.Module) -> Iterator[Tensor]:
    """Weights of a module that a pattern may take: of layers that it fits."""
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if isinstance(layer, WeightedConv2d) and not layer.keeps_zeros:
            continue
        width, in_width, *kernel = layer.weight.shape
        fits = in_width % PATTERN_GROUP == 0
        if pattern.is_blocked:
            fits = not kernel and has_blocks(in_width, width)
        if fits:
            yield layer.weight


@torch.no_grad()
def sparsify_(network: PlainNetwork, arch: Sequence[Slot], images: Sequence[Tensor] = ()) -> Masks:
    """Set the weights to 0 that the patterns of a network's slots leave out, in place.

    A network that keeps to them already does not change.

    Args:
        network: Of any weights.
        arch: Its slots.
        images: Normalised ones, (B, C, H, W) each, that say which blocks matter; where there are
            blocks, batch norm has their statistics afterwards.
    """
    masks: dict[Tensor, Tensor] = {}
    whole: dict[Tensor, AbstractPattern] = {}  # matrices of which blocks are still to go
    for slot in arch:
        if slot.signature.pattern == DENSE:
            continue
        pattern = pattern_of(slot.signature.pattern)
        for weight in taken_by(pattern, network.get_submodule(module_name(slot.name))):
            masks[weight] = mask_of(weight, pattern)
            if pattern.is_blocked and weight.masked_select(~masks[weight]).any():
                whole[weight] = pattern
    if images and whole:
        recalibrated(network, images)
        found = removal_distortions(network, list(whole), images, block_sums)
        for (weight, pattern), scores_RC in zip(whole.items(), found, strict=True):
            masks[weight] = mask_of(weight, pattern, scores_RC)
    _apply_(list(masks.items()))
    return list(masks.items())


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
