"""Four-bit weights of linear layers, in groups of 32 neighbouring inputs with a scale each.

Source: Dettmers and Zettlemoyer, The case for 4-bit precision (2023), for groups; onnxruntime's
operator com.microsoft.MatMulNBits for their layout: codes of 0 to 15 stand for -8 to 7, two to a
byte, the first one low; the last group of an output is filled up. It multiplies in fp32: with an
`accuracy_level` of 4 it rounds what is read to integers, which is slower for layers of many
positions and few inputs (decision 55). A group's scale is the one of several that errs least in
squares, of either sign, so that its largest weight may be the -8 that has no counterpart.

Convolutions have no such kernel. Their weights are those of `int8w`.
"""

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress.quantize._base import QUANTIZATIONS, LayerStats
from compress.quantize._off_grid import AbstractOffGrid
from compress.quantize._weights import SMALLEST_SCALE, of_width, weight_and_bias
from search_spaces import GROUP_SIZE

BITS = 4
LOWEST, HIGHEST = -8, 7
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
"""Shares of a group's largest weight that become its largest code: smaller weights are finer."""


class _MultiplyCodes(torch.autograd.Function):
    """A linear layer with weights of few bits."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, in_features: int
    ) -> Tensor:
        ctx.save_for_backward(weight, scale)
        ctx.in_features = in_features
        return F.linear(x, unpacked(weight, scale)[:, :in_features], bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,), (weight, scale) = gradients, ctx.saved_tensors
        return gradient @ unpacked(weight, scale)[:, : ctx.in_features], None, None, None, None

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, scale: Any, bias: Any, in_features: int) -> Any:
        absent = g.op("prim::Constant")
        absent.setType(torch._C.OptionalType.ofTensor())
        output = g.op(
            "com.microsoft::MatMulNBits",
            *(x, weight, scale, absent, absent, bias),
            K_i=in_features,
            N_i=bias.type().sizes()[0],
            bits_i=BITS,
            block_size_i=GROUP_SIZE,
        )
        return of_width(output, x, bias)


class FourBitLinear(nn.Module):
    """Linear layer with weights of four bits."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight, bias = weight_and_bias(layer)
        codes, scale = coded(weight)
        self.in_features = layer.in_features
        self.register_buffer("weight", packed(codes))
        self.register_buffer("weight_scale", scale.flatten())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        output: Tensor = _MultiplyCodes.apply(
            x, self.weight, self.weight_scale, self.bias, self.in_features
        )
        return output


@final
@QUANTIZATIONS.register
class Int4WeightQuantization(AbstractOffGrid):
    """Linear layers in four bits, convolutions as in `int8w`."""

    def linear(self, layer: nn.Linear, stats: LayerStats) -> nn.Module:
        """See `AbstractOffGrid.linear`."""
        return FourBitLinear(layer)


def coded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes from -8 to 7, (out, groups, 32), and scales, (out, groups), of a matrix (out, in)."""
    grouped = _grouped(weight)
    largest = torch.gather(grouped, -1, grouped.abs().argmax(-1, keepdim=True))
    best_error = torch.full_like(largest, torch.inf)
    best_scale = torch.full_like(largest, SMALLEST_SCALE)
    for clip in CLIPS:
        for end in (LOWEST, HIGHEST):
            scale = largest * clip / end
            scale = torch.where(scale == 0, SMALLEST_SCALE, scale)
            error = (_codes(grouped, scale) * scale - grouped).square().sum(-1, keepdim=True)
            best_scale = torch.where(error < best_error, scale, best_scale)
            best_error = torch.minimum(error, best_error)
    return _codes(grouped, best_scale), best_scale.squeeze(-1)


def packed(codes: Tensor) -> Tensor:
    """Two codes to a byte: (out, groups, 32) to (out, groups, 16), uint8."""
    unsigned = (codes - LOWEST).to(torch.uint8)
    return unsigned[..., 0::2] | unsigned[..., 1::2] << BITS


def unpacked(weight: Tensor, scale: Tensor) -> Tensor:
    """The matrix (out, groups * 32) that packed codes and scales, (out * groups), stand for."""
    codes = torch.stack((weight & (1 << BITS) - 1, weight >> BITS), -1).flatten(-2).float() + LOWEST
    return (codes * scale.reshape(*weight.shape[:-1], 1)).flatten(1)


def _codes(grouped: Tensor, scale: Tensor) -> Tensor:
    return torch.round(grouped / scale).clamp(LOWEST, HIGHEST)


def _grouped(x: Tensor) -> Tensor:
    """(..., n) to (..., groups, 32), filled up with zeros."""
    filled = F.pad(x, (0, -x.shape[-1] % GROUP_SIZE))
    return filled.unflatten(-1, (-1, GROUP_SIZE))
