"""Weights as integers with a scale per output channel, symmetric around zero.

Source: Krishnamoorthi, Quantizing deep convolutional networks for efficient inference (2018),
section 3.1. In a network such weights are integers, which a DequantizeLinear node makes numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn

from search_spaces import CandidateError
from supernets.tune import TunedConv2d

WEIGHT_MAX = 127
REDUCED_WEIGHT_MAX = 63
"""Without VNNI, pairs of products saturate in 16 bits unless weights keep to 7 bits."""

SMALLEST_SCALE = 1e-8


class Dequantize(torch.autograd.Function):
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


def weight_and_bias(layer: nn.Conv2d | nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer whose batch norm is folded; zeros where it has no bias."""
    weight, bias = trained_weight_and_bias(layer)
    return weight.detach(), bias.detach()


def trained_weight_and_bias(layer: nn.Conv2d | nn.Linear) -> tuple[Tensor, Tensor]:
    """The same with gradients; a batch norm that is being tuned is folded now."""
    if isinstance(layer, TunedConv2d):
        return layer.folded()
    weight = layer.weight
    return weight, weight.new_zeros(len(weight)) if layer.bias is None else layer.bias


def largest_weight(*, needs_reduced_range: bool) -> int:
    """The largest integer that a weight is where 8-bit integers are multiplied with it."""
    return REDUCED_WEIGHT_MAX if needs_reduced_range else WEIGHT_MAX


def channel_scale(weight: Tensor, most: int) -> Tensor:
    """By output channel the scale at which its largest weight is the integer `most`: (width,)."""
    return weight.abs().flatten(1).amax(1) / most


def integers(weight: Tensor, scale: Tensor, most: int) -> Tensor:
    """The weight in units of its channels' scales, from -most to most, int8."""
    column = scale.reshape(-1, *[1] * (weight.ndim - 1))
    return torch.round(weight / column).clamp(-most, most).to(torch.int8)


def of_width(output: Any, x: Any, bias: Any) -> Any:
    """What a linear layer makes of `x` in a graph that is exported, with its shape.

    The exporter knows it of its own operators only; without it, what follows computes its shapes.
    """
    sizes = x.type().varyingSizes()
    if sizes:
        output.setType(x.type().with_sizes([*sizes[:-1], *bias.type().sizes()]))
    return output


def conv_options(layer: nn.Conv2d) -> dict[str, Any]:
    """Keyword arguments that `F.conv2d` needs besides the tensors.

    Raises:
        CandidateError: If the convolution does not pad with zeros.
    """
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise CandidateError(
            f"a convolution pads '{layer.padding}' with '{layer.padding_mode}'. With integer "
            "weights it can pad with zeros, by a number of pixels."
        )
    return {
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
    }
