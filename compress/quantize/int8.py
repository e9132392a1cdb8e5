"""Eight-bit integers: uint8 activations per tensor, int8 weights per channel, int32 biases.

Source: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference (2018),
sections 2 and 3. The modules below compute in fp32 on values that lie on the integer grid, and
export themselves as QuantizeLinear / DequantizeLinear pairs: what is scored and what is exported is
one module. Runtimes replace the pairs around a layer by an integer kernel.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize._ranges import Range
from search_spaces import CandidateError

ACTIVATION_MAX = 255
WEIGHT_MAX = 127
REDUCED_WEIGHT_MAX = 63
"""Without VNNI, pairs of products saturate in 16 bits unless weights keep to 7 bits."""

BIAS_MAX = 2**30
SMALLEST_SCALE = 1e-8


class _QuantizeDequantize(torch.autograd.Function):
    """Round to the grid of `scale` and `zero_point`, clip to uint8."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        # Divides as runtimes do, and takes a ninth of the time of torch's fused kernel.
        low = -int(zero_point)
        return (x / scale).round_().clamp_(low, low + ACTIVATION_MAX).mul_(scale)

    @staticmethod
    def symbolic(g: Any, x: Any, scale: Any, zero_point: Any) -> Any:
        quantized = g.op("QuantizeLinear", x, scale, zero_point)
        output = g.op("DequantizeLinear", quantized, scale, zero_point)
        output.setType(x.type())
        return output


class _Dequantize(torch.autograd.Function):
    """Integers times the scale of their first axis."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scale: Tensor, zero_point: Tensor | None) -> Tensor:
        return values.float() * scale.reshape(-1, *[1] * (values.ndim - 1))

    @staticmethod
    def symbolic(g: Any, values: Any, scale: Any, zero_point: Any) -> Any:
        inputs = [values, scale] if zero_point is None else [values, scale, zero_point]
        output = g.op("DequantizeLinear", *inputs, axis_i=0)
        output.setType(scale.type().with_sizes(values.type().sizes()))
        return output


class Quantizer(nn.Module):
    """Puts an activation on its integer grid."""

    def __init__(self, seen: Range) -> None:
        super().__init__()
        scale = max(SMALLEST_SCALE, (seen.high - seen.low) / ACTIVATION_MAX)
        zero_point = max(0, min(ACTIVATION_MAX, round(-seen.low / scale)))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("zero_point", torch.tensor(zero_point, dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """The shape that came in."""
        output: Tensor = _QuantizeDequantize.apply(x, self.scale, self.zero_point)
        return output


class _QuantizedLayer(nn.Module):
    """Integer weight and bias of a layer, and the quantizer of its output."""

    def __init__(
        self, layer: nn.Conv2d | nn.Linear, in_scale: Tensor, output: Quantizer, weight_max: int
    ) -> None:
        super().__init__()
        weight, bias = layer.weight.detach(), layer.bias
        assert bias is not None, "fold batch norm before quantizing"
        scale = weight.abs().flatten(1).amax(1) / weight_max
        scale = torch.maximum(scale, bias.detach().abs() / (in_scale * BIAS_MAX))
        scale = scale.clamp_min(SMALLEST_SCALE)
        column = scale.reshape(-1, *[1] * (weight.ndim - 1))
        rounded = torch.round(weight / column).clamp(-weight_max, weight_max)
        bias_scale = in_scale * scale
        self.register_buffer("weight", rounded.to(torch.int8))
        self.register_buffer("weight_scale", scale)
        self.register_buffer("weight_zero_point", torch.zeros_like(scale, dtype=torch.int8))
        self.register_buffer("bias", torch.round(bias.detach() / bias_scale).to(torch.int32))
        self.register_buffer("bias_scale", bias_scale)
        self.output = output

    def parameters_fp32(self) -> tuple[Tensor, Tensor]:
        """Weight and bias as the integers stand for them."""
        weight = _Dequantize.apply(self.weight, self.weight_scale, self.weight_zero_point)
        bias = _Dequantize.apply(self.bias, self.bias_scale, None)
        return weight, bias


class QuantizedConv2d(_QuantizedLayer):
    """Convolution with an activation folded into its output's range.

    Raises:
        CandidateError: If it does not pad with zeros.
    """

    def __init__(
        self, layer: nn.Conv2d, in_scale: Tensor, output: Quantizer, weight_max: int
    ) -> None:
        super().__init__(layer, in_scale, output, weight_max)
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise CandidateError(
                f"a convolution pads '{layer.padding}' with '{layer.padding_mode}'. In int8 it can "
                "pad with zeros, by a number of pixels."
            )
        self.stride, self.padding = layer.stride, layer.padding
        self.dilation, self.groups = layer.dilation, layer.groups

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        weight, bias = self.parameters_fp32()
        y = F.conv2d(x_BCHW, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        output: Tensor = self.output(y)
        return output


class QuantizedLinear(_QuantizedLayer):
    """Linear layer on rows: runtimes have an integer kernel for two axes only."""

    def __init__(
        self,
        layer: nn.Linear,
        in_scale: Tensor,
        output: Quantizer,
        weight_max: int,
        inner_shape: tuple[int, ...],
    ) -> None:
        super().__init__(layer, in_scale, output, weight_max)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.inner_shape = inner_shape

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features); inner sizes are fixed."""
        weight, bias = self.parameters_fp32()
        if not self.inner_shape:
            output: Tensor = self.output(F.linear(x, weight, bias))
            return output
        rows = self.output(F.linear(x.reshape(-1, self.in_features), weight, bias))
        return rows.reshape(-1, *self.inner_shape, self.out_features)
