"""Eight-bit integers made at run time, for networks of linear layers: int8 weights per channel, and
what they are multiplied with as uint8 per tensor, with the range that it has in this call.

Source: onnx.ai, operators DynamicQuantizeLinear (which says how scale and zero point follow from a
tensor) and MatMulInteger. Nothing is calibrated, and what layers give is fp32, so nothing is on a
grid. onnxruntime makes one integer kernel of the nodes of a layer. Its one for convolutions takes
many times as long as in fp32 (decision 55): they are those of `int8w`.

The range is that of all images of a call: an answer depends a little on what else is in its batch.
"""

from typing import Any, final

import torch
from torch import Tensor, nn

from compress.quantize._base import QUANTIZATIONS, LayerStats
from compress.quantize._off_grid import AbstractOffGrid
from compress.quantize._weights import (
    SMALLEST_SCALE,
    channel_scale,
    integers,
    largest_weight,
    of_width,
    weight_and_bias,
)

ACTIVATION_MAX = 255


class _MultiplyIntegers(torch.autograd.Function):
    """What is read, as integers, times integer weights (in, out); in fp32, with a bias.

    Gradients of what is read are those of the product without rounding.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight, scale)
        low, high = (float(end) for end in x.aminmax())
        low, high = min(low, 0.0), max(high, 0.0)
        number = (high - low) / ACTIVATION_MAX or 1.0
        step = torch.full((), number, dtype=x.dtype, device=x.device)
        zero_point = torch.round(-low / step)
        rounded = (x / step).round_().clamp_(-zero_point, ACTIVATION_MAX - zero_point)
        return (rounded @ weight.to(x.dtype)) * (step * scale) + bias

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,), (weight, scale) = gradients, ctx.saved_tensors
        return (gradient * scale) @ weight.to(gradient.dtype).T, None, None, None

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, scale: Any, bias: Any) -> Any:
        rounded, step, zero_point = g.op("DynamicQuantizeLinear", x, outputs=3)
        product = g.op("MatMulInteger", rounded, weight, zero_point)
        number = g.op("Cast", product, to_i=torch.onnx.TensorProtoDataType.FLOAT)
        scaled = g.op("Mul", number, g.op("Mul", step, scale))
        return of_width(g.op("Add", scaled, bias), x, bias)


class DynamicLinear(nn.Module):
    """Linear layer that multiplies integers."""

    def __init__(self, layer: nn.Linear, weight_max: int) -> None:
        super().__init__()
        weight, bias = weight_and_bias(layer)
        scale = channel_scale(weight, weight_max).clamp_min(SMALLEST_SCALE)
        self.register_buffer("weight", integers(weight, scale, weight_max).T.contiguous())
        self.register_buffer("weight_scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        output: Tensor = _MultiplyIntegers.apply(x, self.weight, self.weight_scale, self.bias)
        return output


@final
@QUANTIZATIONS.register
class Int8DynamicQuantization(AbstractOffGrid):
    """Linear layers by integers, convolutions as in `int8w`."""

    def linear(self, layer: nn.Linear, stats: LayerStats) -> nn.Module:
        """See `AbstractOffGrid.linear`."""
        return DynamicLinear(layer, largest_weight(needs_reduced_range=stats.needs_reduced_range))
