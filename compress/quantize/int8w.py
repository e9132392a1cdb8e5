"""Eight-bit weights only: int8 weights per channel, everything else in fp32.

Source: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference (2018),
section 3.1.1. Nothing is calibrated. In a file a weight is integers, a cast and a product with its
scale: runtimes compute these once, when they load the file, and then run in fp32. DequantizeLinear
would say the same, and onnxruntime carries it out in every call.
"""

from typing import final

from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize._base import QUANTIZATIONS, LayerStats
from compress.quantize._off_grid import AbstractOffGrid, IntegerWeights


class IntegerWeightLinear(IntegerWeights):
    """Linear layer in fp32 with integer weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return F.linear(x, self.weight_fp32(), self.get_buffer("bias"))


@final
@QUANTIZATIONS.register
class Int8WeightQuantization(AbstractOffGrid):
    """Convolutions and linear layers; no value goes through a quantizer."""

    def linear(self, layer: nn.Linear, stats: LayerStats) -> nn.Module:
        """See `AbstractOffGrid.linear`."""
        return IntegerWeightLinear(layer)
