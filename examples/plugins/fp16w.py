"""A format: weights in half precision, all else in fp32: half a file that computes as fp32 does.

Source: Micikevicius et al., Mixed Precision Training (2018), section 2, for what half precision
keeps of weights. Departure: nothing is trained in it.
"""

from typing import Any, ClassVar, final

from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize import QUANTIZATIONS, AbstractQuantization, conv_options, weight_and_bias
from search_spaces import FORMATS, AbstractFormat, Cost

LAYER_BYTES = 32  # of the node that makes numbers of a weight


@final
@FORMATS.register
class HalfWeights(AbstractFormat):
    """IEEE 754 half precision, without a scale."""

    weight_bits: ClassVar = 16
    activation_bits: ClassVar = 32
    is_integer: ClassVar = False
    kernels: ClassVar = frozenset({"float32"})

    def size_bytes(self, cost: Cost) -> float:
        return 2 * cost.weights + 4 * cost.vectors + cost.graph_bytes + LAYER_BYTES * cost.layers


class HalfLayer(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        weight, bias = weight_and_bias(layer)
        self.register_buffer("weight", weight.half())
        self.register_buffer("bias", bias)
        self.options = conv_options(layer) if isinstance(layer, nn.Conv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.get_buffer("weight").float(), self.get_buffer("bias")
        return (
            F.linear(x, weight, bias)
            if self.options is None
            else F.conv2d(x, weight, bias, **self.options)
        )


@final
@QUANTIZATIONS.register
class HalfWeightQuantization(AbstractQuantization):
    layers: ClassVar = (nn.Conv2d, nn.Linear)
    on_grid: ClassVar = ()
    quantizer: ClassVar = None

    def layer(self, layer: nn.Module, stats: Any) -> nn.Module:
        return HalfLayer(layer)
