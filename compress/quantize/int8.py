"""Eight-bit integers: uint8 activations per tensor, int8 weights per channel, int32 biases.

Source: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference (2018),
sections 2 and 3. The modules below compute in fp32 on values that lie on the integer grid, and
export themselves as QuantizeLinear / DequantizeLinear pairs: what is scored and what is exported is
one module. Runtimes replace the pairs around a layer by an integer kernel.

On the grid are convolutions, linear layers, average pooling, `Add` (the shortcuts of convolution
blocks) and `Scale` (channel attention). Shortcuts of transformer-like blocks are plain additions
and stay in fp32, as norms, softmax, GELU and attention products do.
"""

from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize._base import QUANTIZATIONS, AbstractQuantization, LayerStats
from compress.quantize._learnt import AbstractLearnable, LearntLayer, LearntQuantizer
from compress.quantize._ranges import Range
from compress.quantize._weights import (
    SMALLEST_SCALE,
    Dequantize,
    channel_scale,
    conv_options,
    integers,
    largest_weight,
    weight_and_bias,
)
from supernets._modules import Add, Scale

ACTIVATION_MAX = 255
BIAS_MAX = 2**30


class _QuantizeDequantize(torch.autograd.Function):
    """Round to the grid of `scale` and `zero_point`, clip to uint8.

    Gradients pass rounding unchanged and stop where values are clipped.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        # Divides as runtimes do, and takes a ninth of the time of torch's fused kernel.
        low = -int(zero_point)
        ctx.save_for_backward(x, scale)
        ctx.low = low
        return (x / scale).round_().clamp_(low, low + ACTIVATION_MAX).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (x, scale) = gradients, ctx.saved_tensors
        steps = x / scale
        return gradient * ((steps >= ctx.low) & (steps <= ctx.low + ACTIVATION_MAX)), None, None

    @staticmethod
    def symbolic(g: Any, x: Any, scale: Any, zero_point: Any) -> Any:
        quantized = g.op("QuantizeLinear", x, scale, zero_point)
        output = g.op("DequantizeLinear", quantized, scale, zero_point)
        output.setType(x.type())
        return output


class Quantizer(AbstractLearnable):
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

    def learnt(self, layer: nn.Module | None = None) -> LearntQuantizer:
        """See `AbstractLearnable.learnt`."""
        scale, zero_point = self.get_buffer("scale"), self.get_buffer("zero_point")
        return LearntQuantizer(scale, zero_point, ACTIVATION_MAX)


class _QuantizedLayer(AbstractLearnable):
    """Integer weight and bias of a layer, and the quantizer of its output.

    Args:
        layer: Batch norm is folded.
        in_scale: Of its input's grid.
        output: Puts what it makes on a grid.
        weight_max: Largest integer of a weight.
        weight_scale_C: Of the weight's grid; None for the one that holds the weight.
    """

    def __init__(
        self,
        layer: nn.Conv2d | nn.Linear,
        in_scale: Tensor,
        output: Quantizer,
        weight_max: int,
        *,
        weight_scale_C: Tensor | None = None,
    ) -> None:
        super().__init__()
        weight, bias = weight_and_bias(layer)
        scale = channel_scale(weight, weight_max) if weight_scale_C is None else weight_scale_C
        scale = torch.maximum(scale, bias.abs() / (in_scale * BIAS_MAX))
        scale = scale.clamp_min(SMALLEST_SCALE)
        bias_scale = in_scale * scale
        self.register_buffer("weight", integers(weight, scale, weight_max))
        self.register_buffer("weight_scale", scale)
        self.register_buffer("weight_zero_point", torch.zeros_like(scale, dtype=torch.int8))
        self.register_buffer("bias", torch.round(bias / bias_scale).to(torch.int32))
        self.register_buffer("bias_scale", bias_scale)
        self.output = output
        self.weight_max = weight_max

    def learnt(self, layer: nn.Module | None) -> LearntLayer:
        """See `AbstractLearnable.learnt`."""
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        scale_C = self.get_buffer("weight_scale")
        return LearntLayer(layer, scale_C, self.weight_max, self.output.learnt())

    def parameters_fp32(self) -> tuple[Tensor, Tensor]:
        """Weight and bias as the integers stand for them."""
        weight = Dequantize.apply(self.weight, self.weight_scale, self.weight_zero_point)
        bias = Dequantize.apply(self.bias, self.bias_scale, None)
        return weight, bias


class QuantizedConv2d(_QuantizedLayer):
    """Convolution with an activation folded into its output's range.

    Raises:
        CandidateError: If it does not pad with zeros.
    """

    def __init__(
        self,
        layer: nn.Conv2d,
        in_scale: Tensor,
        output: Quantizer,
        weight_max: int,
        *,
        weight_scale_C: Tensor | None = None,
    ) -> None:
        super().__init__(layer, in_scale, output, weight_max, weight_scale_C=weight_scale_C)
        self.options = conv_options(layer)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        weight, bias = self.parameters_fp32()
        output: Tensor = self.output(F.conv2d(x_BCHW, weight, bias, **self.options))
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
        *,
        weight_scale_C: Tensor | None = None,
    ) -> None:
        super().__init__(layer, in_scale, output, weight_max, weight_scale_C=weight_scale_C)
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


@final
@QUANTIZATIONS.register
class Int8Quantization(AbstractQuantization):
    """Whatever has an integer kernel is on the grid."""

    layers: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv2d, nn.Linear)
    on_grid: ClassVar[tuple[type[nn.Module], ...]] = (*layers, Add, Scale, nn.AdaptiveAvgPool2d)
    quantizer: ClassVar[type[nn.Module] | None] = Quantizer

    def layer(self, layer: nn.Module, stats: LayerStats) -> nn.Module:
        """The layer with integer weight and bias, and the quantizer of its output."""
        assert stats.input is not None, "convolutions and linear layers are on the grid"
        assert stats.inner_shape is not None
        assert isinstance(stats.output, Quantizer)
        in_scale = stats.input.get_buffer("scale")
        most = largest_weight(needs_reduced_range=stats.needs_reduced_range)
        largest_C = stats.largest_weight_C
        scale_C = None if largest_C is None else largest_C / most
        if isinstance(layer, nn.Conv2d):
            return QuantizedConv2d(layer, in_scale, stats.output, most, weight_scale_C=scale_C)
        assert isinstance(layer, nn.Linear)
        return QuantizedLinear(
            layer, in_scale, stats.output, most, stats.inner_shape, weight_scale_C=scale_C
        )
