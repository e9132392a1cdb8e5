"""Ranges of activations over the calibration images."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, fx


@dataclass(frozen=True)
class Range:
    """What was seen of one value.

    Attributes:
        low: Mean over batches of the smallest entry, at most 0.
        high: Mean over batches of the largest entry, at least 0.
        inner_shape: Sizes between the batch and the last axis.
    """

    low: float
    high: float
    inner_shape: tuple[int, ...]


@torch.no_grad()
def observe(
    graph: fx.GraphModule, values: Iterable[str], batches: Iterable[Tensor]
) -> dict[str, Range]:
    """The range of each named node's output, and of its inputs' shapes.

    Batch extremes are averaged instead of taken together, so that one unusual image does not widen
    a range for all (Krishnamoorthi, Quantizing deep convolutional networks, 2018, section 3.1.3,
    uses a moving average to the same end).
    """
    recorder = _Recorder(graph, frozenset(values))
    for images_BCHW in batches:
        recorder.run(images_BCHW)
    return {
        name: Range(min(0.0, sum(lows) / len(lows)), max(0.0, sum(highs) / len(highs)), inner_shape)
        for name, (lows, highs, inner_shape) in recorder.seen.items()
    }


class _Recorder(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule, values: frozenset[str]) -> None:
        super().__init__(graph)
        self.values = values
        self.seen: dict[str, tuple[list[float], list[float], tuple[int, ...]]] = {}

    def run_node(self, n: fx.Node) -> object:
        """Runs the node and records its output if asked to."""
        output = super().run_node(n)
        if n.name in self.values and isinstance(output, Tensor):
            lows, highs, _ = self.seen.setdefault(n.name, ([], [], tuple(output.shape[1:-1])))
            low, high = output.aminmax()
            lows.append(float(low))
            highs.append(float(high))
        return output
