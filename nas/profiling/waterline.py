"""What a file would take if every kernel ran at the machine's peak or at its bandwidth.

- *Ideal*: multiply-adds by peak.
- *Waterline*: every kernel takes what its multiply-adds take at the peak, or what its bytes take at
  the bandwidth, whichever is more, and all kernels follow one another. A kernel whose bytes per
  operation rise above the waterline, bandwidth by peak, is memory-bound. None takes less than
  starting a kernel does.
- *Perfectly fused*: the same with the kernels of each block as one, which reads the block's input
  and weights and writes its output.

Source: On the Efficiency of Convolutional Neural Networks: efficiency and waterline. Departures:
bandwidth is that of an addition that moves as many bytes (`nas.latency.peaks`), since networks of
one image stay in caches; so kernels have waterlines of their own. Starting a kernel takes time,
which is most of it in networks of microseconds. Operations are multiply-adds.
Blocks are not given but read off the graph (`nas.profiling.fused.Block`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.latency.peaks import Peaks
from nas.profiling.fused import FusedGraph, Kernel, fused_graph
from nas.profiling.macs import UncountableError
from search_spaces import CandidateError


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A kernel against the waterline.

    Attributes:
        kernel: Which one.
        compute_ms: Its multiply-adds at the peak.
        memory_ms: Its bytes at the bandwidth.
        start_ms: Starting any kernel.
        waterline: Bytes per operation below which it would be bound by the peak.
    """

    kernel: Kernel
    compute_ms: float
    memory_ms: float
    start_ms: float
    waterline: float

    @property
    def ms(self) -> float:
        """What it takes at least."""
        return max(self.compute_ms, self.memory_ms, self.start_ms)

    @property
    def is_memory_bound(self) -> bool:
        """Whether moving bytes takes longer than computing."""
        return self.memory_ms > self.compute_ms

    def to_json(self) -> dict[str, Any]:
        """What a picture needs of it."""
        kernel = self.kernel
        return {
            "name": kernel.name,
            "op": kernel.op,
            "class": kernel.group,
            "macs": kernel.macs,
            "ops": kernel.ops,
            "bytes": kernel.num_bytes,
            "is_integer": kernel.is_integer,
            "waterline": self.waterline,
            "ms": self.ms,
            "is_memory_bound": self.is_memory_bound,
        }


@dataclass(frozen=True, kw_only=True)
class Waterline:
    """What a file takes at least, in three ways.

    Attributes:
        bounds: Of the kernels, in the order in which they run.
        ideal_ms: Multiply-adds at the peak.
        predicted_ms: Every kernel at its bound, and an empty call.
        fused_ms: Every block at its bound, and an empty call.
    """

    bounds: tuple[Bound, ...]
    ideal_ms: float
    predicted_ms: float
    fused_ms: float

    @property
    def memory_bound_share(self) -> float:
        """Of the kernels' time as predicted, that of memory-bound kernels."""
        total_ms = sum(bound.ms for bound in self.bounds)
        memory_ms = sum(bound.ms for bound in self.bounds if bound.is_memory_bound)
        return memory_ms / total_ms if total_ms else 0.0

    def memory_bound(self, most: int) -> list[Bound]:
        """Memory-bound kernels, those first that take most."""
        found = [bound for bound in self.bounds if bound.is_memory_bound]
        return sorted(found, key=lambda bound: -bound.ms)[:most]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "ideal_ms": self.ideal_ms,
            "predicted_ms": self.predicted_ms,
            "fused_ms": self.fused_ms,
            "memory_bound_share": self.memory_bound_share,
            "kernels": [bound.to_json() for bound in self.bounds],
        }


def waterline(graph: FusedGraph, peaks: Peaks) -> Waterline:
    """Every kernel of a file against what the machine does at most."""
    bounds = [_bound(kernel, peaks) for kernel in graph.kernels]
    fused_ms = sum(
        max(
            sum(bounds[i].compute_ms for i in block.kernels),
            _memory_ms(block.num_bytes, peaks),
            peaks.start_ms,
        )
        for block in graph.blocks
    )
    return Waterline(
        bounds=tuple(bounds),
        ideal_ms=sum(bound.compute_ms for bound in bounds),
        predicted_ms=peaks.call_ms + sum(bound.ms for bound in bounds),
        fused_ms=peaks.call_ms + fused_ms,
    )


def waterline_of(file: Path, peaks: Peaks, *, batch: int) -> Waterline | str:
    """The waterline of an ONNX file, or why there is none."""
    try:
        return waterline(fused_graph(file, batch=batch), peaks)
    except (CandidateError, UncountableError) as error:
        return " ".join(str(error).split())[:300]


def _bound(kernel: Kernel, peaks: Peaks) -> Bound:
    peak, bandwidth = (
        peaks.of_kernel(is_integer=kernel.is_integer),
        peaks.bytes_per_s(kernel.num_bytes),
    )
    return Bound(
        kernel=kernel,
        compute_ms=1e3 * kernel.macs / peak,
        memory_ms=_memory_ms(kernel.num_bytes, peaks),
        start_ms=peaks.start_ms,
        waterline=bandwidth / peak,
    )


def _memory_ms(num_bytes: int, peaks: Peaks) -> float:
    return 1e3 * num_bytes / peaks.bytes_per_s(num_bytes)
