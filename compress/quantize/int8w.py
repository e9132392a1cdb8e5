"""Eight-bit weights only: int8 weights per channel, everything else in fp32.

Source: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference (2018),
section 3.1.1. Nothing is calibrated. In a file a weight is integers, a cast and a product with its
scale: runtimes compute these once, when they load the file, and then run in fp32. DequantizeLinear
would say the same, and onnxruntime carries it out in every call.
"""

from typing import ClassVar, final

from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize._base import QUANTIZATIONS, AbstractQuantization, LayerStats
from compress.quantize._weights import (
    SMALLEST_SCALE,
    WEIGHT_MAX,
    channel_scale,
    conv_options,
    integers,
    weight_and_bias,
)


class _IntegerWeights(nn.Module):
    """Integer weight of a layer, and its bias."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        weight, bias = weight_and_bias(layer)
        scale = channel_scale(weight, WEIGHT_MAX).clamp_min(SMALLEST_SCALE)
        self.register_buffer("weight", integers(weight, scale, WEIGHT_MAX))
        self.register_buffer("weight_scale", scale.reshape(-1, *[1] * (weight.ndim - 1)))
        self.register_buffer("bias", bias)

    def weight_fp32(self) -> Tensor:
        """The weight as its integers stand for it."""
        return self.get_buffer("weight").float() * self.get_buffer("weight_scale")


class IntegerWeightConv2d(_IntegerWeights):
    """Convolution in fp32 with integer weights.

    Raises:
        CandidateError: If it does not pad with zeros.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.options = conv_options(layer)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        return F.conv2d(x_BCHW, self.weight_fp32(), self.get_buffer("bias"), **self.options)


class IntegerWeightLinear(_IntegerWeights):
    """Linear layer in fp32 with integer weights."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return F.linear(x, self.weight_fp32(), self.get_buffer("bias"))


@final
@QUANTIZATIONS.register
class Int8WeightQuantization(AbstractQuantization):
    """Convolutions and linear layers; no value goes through a quantizer."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv2d, nn.Linear)
    on_grid: ClassVar[tuple[type[nn.Module], ...]] = ()
    quantizer: ClassVar[type[nn.Module] | None] = None

    def layer(self, layer: nn.Module, stats: LayerStats) -> nn.Module:
        """The layer with integer weights."""
        if isinstance(layer, nn.Conv2d):
            return IntegerWeightConv2d(layer)
        assert isinstance(layer, nn.Linear)
        return IntegerWeightLinear(layer)
