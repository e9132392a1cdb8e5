"""Bias correction: what rounding of weights adds to the mean of every output is taken off its bias.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019),
section 4.2. Departure: means of inputs are those of the calibration images, in full precision.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, fx, nn


@torch.no_grad()
def input_means(
    graph: fx.GraphModule, layers: Iterable[str], batches: Iterable[Tensor]
) -> dict[str, Tensor]:
    """By layer the mean of every channel that it reads, over positions and images."""
    means = _Means(graph, frozenset(layers))
    for images_BCHW in batches:
        means.run(images_BCHW)
    return {name: total / means.counts[name] for name, total in means.sums.items()}


class _Means(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule, layers: frozenset[str]) -> None:
        super().__init__(graph)
        self.layers = layers
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def call_module(
        self, target: object, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        """Calls the module and records what it reads if asked to."""
        name = str(target)
        if name in self.layers:
            (x,) = args
            assert isinstance(x, Tensor)
            is_map = isinstance(self.fetch_attr(name), nn.Conv2d)
            axes = (0, 2, 3) if is_map else tuple(range(x.ndim - 1))
            self.sums[name] = self.sums.get(name, 0) + x.sum(axes)
            width = x.shape[1 if is_map else -1]
            self.counts[name] = self.counts.get(name, 0) + x.numel() // width
        return super().call_module(target, args, kwargs)


def output_shift(layer: nn.Module, change: Tensor, mean_C: Tensor) -> Tensor:
    """By output the mean that a change of the weight adds to it: (width,)."""
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    change_GOC = (
        change.unflatten(0, (groups, -1)).flatten(3).sum(3) if change.ndim > 2 else change[None]
    )
    return (change_GOC * mean_C.reshape(groups, 1, -1)).sum(2).flatten()
