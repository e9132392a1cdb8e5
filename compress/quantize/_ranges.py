"""Ranges of activations over the calibration images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from compress.calibration._base import BINS, AbstractCalibration, Histogram, Seen

TOO_WIDE = 1e30
"""From one extreme to the other: bins are numbered in fp32."""


@dataclass(frozen=True)
class Range:
    """What was seen of one value.

    Attributes:
        low: Smallest entry that its grid holds, at most 0.
        high: Largest one, at least 0.
        inner_shape: Sizes between the batch and the last axis.
    """

    low: float
    high: float
    inner_shape: tuple[int, ...]


@torch.no_grad()
def observe(
    graph: fx.GraphModule,
    values: Iterable[str],
    batches: Sequence[Tensor],
    calibration: AbstractCalibration,
) -> dict[str, Range]:
    """The range of each named node's output, and of its inputs' shapes.

    Nothing is kept of a batch but its extremes or, where the calibration needs one, a histogram
    between the extremes of all: the network then looks at the images twice.
    """
    extremes = _Extremes(graph, frozenset(values))
    for images_BCHW in batches:
        extremes.run(images_BCHW)
    seen = {name: Seen(tuple(a), tuple(b)) for name, (a, b, _) in extremes.seen.items()}
    if calibration.needs_histogram:
        seen |= _counted(graph, seen, batches)
    return {
        name: Range(*_range(one, calibration), extremes.seen[name][2]) for name, one in seen.items()
    }


def _range(seen: Seen, calibration: AbstractCalibration) -> tuple[float, float]:
    if calibration.needs_histogram and seen.histogram is None:
        return seen.extremes
    return calibration.range(seen)


def _counted(
    graph: fx.GraphModule, seen: Mapping[str, Seen], batches: Iterable[Tensor]
) -> dict[str, Seen]:
    """Those of the values that can be counted, with their histograms."""
    ends = {name: one.extremes for name, one in seen.items()}
    counts = _Counts(graph, {n: (a, b) for n, (a, b) in ends.items() if 0.0 < b - a < TOO_WIDE})
    for images_BCHW in batches:
        counts.run(images_BCHW)
    return {
        name: Seen(seen[name].lows, seen[name].highs, Histogram(*ends[name], counts_B.numpy()))
        for name, counts_B in counts.seen.items()
    }


class _Extremes(fx.Interpreter):
    """Records the smallest and the largest entry of values, by batch, and their inner shapes."""

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


class _Counts(fx.Interpreter):
    """Counts the entries of values in the bins of histograms between these ends."""

    def __init__(self, graph: fx.GraphModule, ends: Mapping[str, tuple[float, float]]) -> None:
        super().__init__(graph)
        self.ends = ends
        self.seen = {name: torch.zeros(BINS, dtype=torch.float64) for name in ends}

    def run_node(self, n: fx.Node) -> object:
        """Runs the node and counts its output if asked to."""
        output = super().run_node(n)
        if n.name in self.ends and isinstance(output, Tensor):
            low, high = self.ends[n.name]
            self.seen[n.name] += torch.histc(output, BINS, low, high).cpu().double()
        return output
