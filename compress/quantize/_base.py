"""The contract of a format's implementation: which modules it replaces, and by what."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from search_spaces import Registry


@dataclass(frozen=True)
class LayerStats:
    """What is known of a layer.

    Attributes:
        needs_reduced_range: Whether sums of two 8-bit products saturate on the processor.
        input: Quantizer of what the layer reads; None, as what follows, if it is not on a grid.
        output: Quantizer of what it makes, behind a folded activation.
        inner_shape: Sizes of its input between the batch and the last axis.
        largest_weight_C: On the grid of its weight, by output channel, if training has learnt it.
    """

    needs_reduced_range: bool
    input: nn.Module | None = None
    output: nn.Module | None = None
    inner_shape: tuple[int, ...] | None = None
    largest_weight_C: Tensor | None = None


class AbstractQuantization(ABC):
    """How slots of a format compute. Plug-ins have no state.

    Modules that are neither replaced nor on the grid compute in fp32.
    """

    layers: ClassVar[tuple[type[nn.Module], ...]]
    """Modules with weights, which `layer` replaces."""

    on_grid: ClassVar[tuple[type[nn.Module], ...]]
    """Modules whose inputs and outputs go through a quantizer; see `compress/placement.py`."""

    quantizer: ClassVar[type[nn.Module] | None]
    """Puts values on the grid and clips them to the range that it is built from, so that a ReLU
    before it need not be computed. None if nothing is on a grid."""

    @abstractmethod
    def layer(self, layer: nn.Module, stats: LayerStats) -> nn.Module:
        """What computes, and is exported, in place of a layer.

        Args:
            layer: One of `layers`, with batch norm folded; not changed.
            stats: If it is on a grid, the module ends with `stats.output`.

        Raises:
            CandidateError: If the format has no such layer.
        """


QUANTIZATIONS = Registry("compress.quantize", "quantization", AbstractQuantization)

QuantizationOf = Callable[[str], AbstractQuantization]
"""The implementation for a module, by its qualified name."""
