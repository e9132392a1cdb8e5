"""Learning the steps of integer grids together with the weights: quantization-aware training.

Values are rounded and clipped in training as they will be; gradients pass rounding unchanged and
stop at the ends, and a step gets its own: how much further from zero its values would lie.

Source: Esser et al., Learned Step Size Quantization (2020), equations 1 to 3 and section 2.2. The
gradient of a step is divided by sqrt(values * largest integer), values being those of one image or
of one output channel. Departures: steps begin where calibration puts them instead of at the mean
magnitude; their logarithms are learnt, because the rates of optimizers here are absolute; weights
have a step per output channel; zero points stay those of calibration.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from compress.quantize._weights import trained_weight_and_bias


class AbstractLearnable(nn.Module, ABC):
    """A module on a grid of equal steps that can be learnt."""

    @abstractmethod
    def learnt(self, layer: nn.Module | None) -> "AbstractLearnt":
        """What is trained in its place.

        Args:
            layer: What it was made from; None for a quantizer.
        """


class AbstractLearnt(nn.Module, ABC):
    """What is trained in place of a module on a grid."""

    @abstractmethod
    def grid(self) -> Mapping[str, Tensor]:
        """What training decides besides weights, by names below the module on a grid."""


class Rounded(torch.autograd.Function):
    """Rounds to whole steps and clips."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int, scale: float) -> Tensor:
        """The grid's values nearest to x.

        Args:
            ctx: Of torch.
            x: Any shape.
            step: Of the grid; broadcasts to x.
            low: Smallest value of the grid, in steps.
            high: Largest.
            scale: Of the gradient of the step.
        """
        ctx.save_for_backward(x, step)
        ctx.ends, ctx.scale = (low, high), scale
        return (x / step).round_().clamp_(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Of x and of the step."""
        (gradient,), (x, step), (low, high) = gradients, ctx.saved_tensors, ctx.ends
        steps = x / step
        rounded = steps.round().clamp_(low, high)
        is_inside = (steps >= low) & (steps <= high)
        apart = rounded.sub_(steps.mul_(is_inside)).mul_(gradient)
        return gradient * is_inside, apart.sum_to_size(step.shape) * ctx.scale, None, None, None


class LearntQuantizer(AbstractLearnt):
    """An activation's grid.

    Args:
        scale: Where its step begins: ().
        zero_point: Stays.
        most: Largest integer; the smallest is 0.
    """

    def __init__(self, scale: Tensor, zero_point: Tensor, most: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(scale.detach().log())
        self.register_buffer("zero_point", zero_point)
        self.most, self._low = most, -int(zero_point)

    def forward(self, x: Tensor) -> Tensor:
        """The shape that came in."""
        low = self._low
        scale = float(x[0].numel() * self.most) ** -0.5
        output: Tensor = Rounded.apply(x, self.log_scale.exp(), low, low + self.most, scale)
        return output

    def grid(self) -> Mapping[str, Tensor]:
        """See `AbstractLearnt.grid`."""
        return {
            "scale": self.log_scale.detach().exp(),
            "zero_point": self.get_buffer("zero_point"),
        }


class LearntLayer(AbstractLearnt):
    """A convolution or linear layer whose weight is on a grid, and the grid of its output.

    Args:
        layer: Is trained; its batch norm is folded anew in every step.
        scale_C: Where the steps of its output channels begin.
        most: Largest integer of a weight, and the negative of the smallest.
        output: Of what it makes.
    """

    def __init__(
        self, layer: nn.Conv2d | nn.Linear, scale_C: Tensor, most: int, output: AbstractLearnt
    ) -> None:
        super().__init__()
        self.layer, self.most, self.output = layer, most, output
        self.log_scale_C = nn.Parameter(scale_C.detach().log())

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives, on the grid of its output."""
        weight, bias = trained_weight_and_bias(self.layer)
        step = self.log_scale_C.exp().reshape(-1, *[1] * (weight.ndim - 1))
        scale = float(weight[0].numel() * self.most) ** -0.5
        rounded = Rounded.apply(weight, step, -self.most, self.most, scale)
        if isinstance(self.layer, nn.Conv2d):
            return self.output(self.layer._conv_forward(x, rounded, bias))  # type: ignore[no-any-return]
        return self.output(nn.functional.linear(x, rounded, bias))  # type: ignore[no-any-return]

    def grid(self) -> Mapping[str, Tensor]:
        """See `AbstractLearnt.grid`; that of the output speaks for itself.

        Of the weight it is what the largest integer stands for, because on a processor whose sums
        saturate that is another one.
        """
        return {"largest_weight": self.log_scale_C.detach().exp() * self.most}
