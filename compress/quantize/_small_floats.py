"""Layers whose weights, and what they are multiplied with, are floating-point numbers of 8 bits.

Source: Micikevicius et al., FP8 Formats for Deep Learning (2022), section 3, for the two formats;
Dotzel et al., FLIQS (2024), for searching them beside integers. Rounding is to the nearest, ties to
even, and beyond the largest number to that one. Departures: nothing is multiplied in eight bits,
because no kernel here does so: both factors are rounded, and multiplied in fp32. Weights have a
scale per output channel, so that its largest weight is the format's largest number; activations
have none, because norms keep them far within the range.

In a file a weight is stored in a byte, with a Cast and a product, which runtimes compute once; what
a layer reads goes through a Cast to eight bits and one back, in every call: files are small and not
fast.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize._base import AbstractQuantization, LayerStats
from compress.quantize._weights import (
    SMALLEST_SCALE,
    channel_scale,
    conv_options,
    weight_and_bias,
)

ONNX_FLOAT = 1
ONNX_TYPES = {torch.float8_e4m3fn: 17, torch.float8_e5m2: 19}
"""Numbers of the types in ONNX (TensorProto.DataType)."""


class _Round(torch.autograd.Function):
    """Rounds to a small format and back; gradients pass as far as nothing is clipped."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(x)
        ctx.largest = largest_of(dtype)
        return rounded(x, dtype).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), (x,) = gradients, ctx.saved_tensors
        return gradient * (x.abs() <= ctx.largest), None

    @staticmethod
    def symbolic(g: Any, x: Any, dtype: torch.dtype) -> Any:
        output = g.op("Cast", g.op("Cast", x, to_i=ONNX_TYPES[dtype]), to_i=ONNX_FLOAT)
        output.setType(x.type())
        return output


class _Widen(torch.autograd.Function):
    """Small weights as fp32, times the scale of their channel."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor) -> Tensor:
        return weight.float() * scale

    @staticmethod
    def symbolic(g: Any, weight: Any, scale: Any) -> Any:
        output = g.op("Mul", g.op("Cast", weight, to_i=ONNX_FLOAT), scale)
        output.setType(scale.type().with_sizes(weight.type().sizes()))
        return output


class _SmallFloatLayer(nn.Module):
    """Weight of a layer in eight bits, and its bias."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        weight, bias = weight_and_bias(layer)
        scale = channel_scale(weight, largest_of(dtype)).clamp_min(SMALLEST_SCALE)
        column = scale.reshape(-1, *[1] * (weight.ndim - 1))
        self.register_buffer("weight", rounded(weight / column, dtype))
        self.register_buffer("weight_scale", column)
        self.register_buffer("bias", bias)

    def weight_fp32(self) -> Tensor:
        """The weight as its bytes stand for it."""
        weight: Tensor = _Widen.apply(self.weight, self.weight_scale)
        return weight

    def read(self, x: Tensor) -> Tensor:
        """What the weight is multiplied with."""
        small: Tensor = _Round.apply(x, self.dtype)
        return small


class SmallFloatConv2d(_SmallFloatLayer):
    """Convolution in fp32 of numbers of eight bits.

    Raises:
        CandidateError: If it does not pad with zeros.
    """

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__(layer, dtype)
        self.options = conv_options(layer)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        bias = self.get_buffer("bias")
        return F.conv2d(self.read(x_BCHW), self.weight_fp32(), bias, **self.options)


class SmallFloatLinear(_SmallFloatLayer):
    """Linear layer in fp32 of numbers of eight bits."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return F.linear(self.read(x), self.weight_fp32(), self.get_buffer("bias"))


class AbstractSmallFloatQuantization(AbstractQuantization):
    """Convolutions and linear layers; no value goes through a quantizer of its own."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv2d, nn.Linear)
    on_grid: ClassVar[tuple[type[nn.Module], ...]] = ()
    quantizer: ClassVar[type[nn.Module] | None] = None

    dtype: ClassVar[torch.dtype]
    """A key of `ONNX_TYPES`."""

    def layer(self, layer: nn.Module, stats: LayerStats) -> nn.Module:
        """The layer with what it multiplies in eight bits."""
        if isinstance(layer, nn.Conv2d):
            return SmallFloatConv2d(layer, self.dtype)
        assert isinstance(layer, nn.Linear)
        return SmallFloatLinear(layer, self.dtype)


def rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The nearest numbers of a small format; those beyond its largest are that one."""
    largest = largest_of(dtype)
    return x.clamp(-largest, largest).to(dtype)


def largest_of(dtype: torch.dtype) -> int:
    """The largest number of a small format."""
    return int(torch.finfo(dtype).max)
