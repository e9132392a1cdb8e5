"""Low-rank updates: what a network has learnt is frozen, and each weight learns a small difference.

A weight W becomes W + B A, where B begins at 0, so training begins with the network as it is.
Biases and norms are frozen, too; statistics stay (`supernets/tune.py`). In the end the product goes
into the weight, and the network is as large and as fast as before. What is 0 stays 0, so sparsity
patterns are kept.

A kernel of k x k is a matrix of (outputs and rows of the kernel) by (inputs and columns), of rank
r * k: r * k * k * (inputs + outputs) numbers are trained. Layers that have no more weights than
that stay as they are.

Source: Chai et al., Distillation-Supervised Convolutional Low-Rank Adaptation for Efficient Image
Super-Resolution (2025): convolutions with low-rank updates that learn from a teacher's affinities
(`supernets/likenesses/affinity.py`) and are merged; Hu et al., LoRA: Low-Rank Adaptation of Large
Language Models (2021), section 4.1. Departures: classification; all layers that are not merged of
several branches; the product is not scaled.

Shapes: O outputs, I inputs of a group, k k sides of a kernel.
"""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from supernets.tune import TunedConv2d, tuned


@dataclass(frozen=True)
class LowRankUpdates:
    """What is trained of a network: updates of a rank; goes to other processes.

    Attributes:
        rank: r, at least 1.
        seed: Of the first factors A.
    """

    rank: int
    seed: int = 0

    def __call__(self, network: nn.Module) -> "LowRank":
        """The module that is trained; it has the network's weights.

        Args:
            network: With its final running statistics.
        """
        return LowRank(tuned(network), self.rank, torch.Generator().manual_seed(self.seed))


@final
class LowRank(nn.Module):
    """A network of frozen weights and their updates.

    Args:
        network: As `tuned` makes it.
        rank: Of the updates.
        rng: Draws the first factors A.
    """

    def __init__(self, network: nn.Module, rank: int, rng: torch.Generator) -> None:
        super().__init__()
        self.network = network
        self.names = updated_weights(network, rank)
        weights = [network.get_parameter(name) for name in self.names]
        sizes = [_sizes(weight, rank) for weight in weights]
        self.reads = nn.ParameterList(
            torch.empty(inner, columns).uniform_(-1, 1, generator=rng) / math.sqrt(columns)
            for _, inner, columns in sizes
        )
        self.makes = nn.ParameterList(torch.zeros(rows, inner) for rows, inner, _ in sizes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Outputs of the network with updated weights."""
        frozen = {name: weight.detach() for name, weight in self.network.named_parameters()}
        outputs: Tensor = torch.func.functional_call(
            self.network, frozen | self._updated(), (x_BCHW,)
        )
        return outputs

    @torch.no_grad()
    def merge_(self) -> None:
        """Puts the updates into the weights, in place; then they are 0 again."""
        for name, weight in self._updated().items():
            self.network.get_parameter(name).copy_(weight)
        for factor in self.makes:
            factor.zero_()

    def _updated(self) -> dict[str, Tensor]:
        found = {}
        for name, makes, reads in zip(self.names, self.makes, self.reads, strict=True):
            weight = self.network.get_parameter(name).detach()
            update = _as_kernel(makes @ reads, weight.shape)
            found[name] = weight + update * (weight != 0)
        return found


def updated_weights(network: nn.Module, rank: int) -> list[str]:
    """Names of the weights that get updates: of layers that have more weights than these."""
    found: dict[int, str] = {}  # by identity: a weight that is shared is one
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if isinstance(layer, TunedConv2d) and layer.is_merged:
            continue
        rows, inner, columns = _sizes(layer.weight, rank)
        if inner * (rows + columns) < layer.weight.numel():
            found.setdefault(id(layer.weight), f"{name}.weight" if name else "weight")
    return list(found.values())


def _sizes(weight: Tensor, rank: int) -> tuple[int, int, int]:
    """Rows of the matrix that a weight is, the rank of its update, and its columns."""
    outputs, inputs, *kernel = weight.shape
    height, width = kernel or (1, 1)
    return outputs * height, rank * max(height, width), inputs * width


def _as_kernel(matrix: Tensor, shape: torch.Size) -> Tensor:
    """A matrix (O k, I k) as a kernel (O, I, k, k), or itself."""
    if len(shape) == 2:
        return matrix
    outputs, inputs, height, width = shape
    return matrix.reshape(outputs, height, inputs, width).permute(0, 2, 1, 3)
