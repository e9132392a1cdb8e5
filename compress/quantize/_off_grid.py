"""Formats of weights: layers that read and give fp32, so that no value goes through a quantizer.

Convolutions have eight-bit weights in all of them: kernels for fewer bits, or for integers that are
made at run time, are missing or many times slower (decision 55).
"""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize._base import AbstractQuantization, LayerStats
from compress.quantize._weights import (
    SMALLEST_SCALE,
    WEIGHT_MAX,
    channel_scale,
    conv_options,
    integers,
    weight_and_bias,
)


class IntegerWeights(nn.Module):
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


class IntegerWeightConv2d(IntegerWeights):
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


class AbstractOffGrid(AbstractQuantization):
    """Convolutions and linear layers; no value goes through a quantizer."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv2d, nn.Linear)
    on_grid: ClassVar[tuple[type[nn.Module], ...]] = ()
    quantizer: ClassVar[type[nn.Module] | None] = None

    def layer(self, layer: nn.Module, stats: LayerStats) -> nn.Module:
        """The layer with integer weights."""
        if isinstance(layer, nn.Conv2d):
            return IntegerWeightConv2d(layer)
        assert isinstance(layer, nn.Linear)
        return self.linear(layer, stats)

    @abstractmethod
    def linear(self, layer: nn.Linear, stats: LayerStats) -> nn.Module:
        """What computes in place of a linear layer."""
