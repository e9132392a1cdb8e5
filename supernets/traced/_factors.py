"""Layers of low rank: two in place of one, by the singular values of its weight.

The product of the two weights is the matrix of that rank nearest to the layer's in squares. Each
of the two has the square root of the singular values, so that they are trained alike.

Source: Denton et al., Exploiting Linear Structure Within Convolutional Networks (2014), section
3.2, for matrices; a kernel is one with a column per input and position, as in Zhang et al.,
Accelerating Very Deep Convolutional Networks (2016), section 2.
"""

import torch
from torch import Tensor, nn

FIRST, SECOND = "first", "second"


class TwoLayers(nn.Module):
    """A layer of low rank."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """What the one layer gives, nearly."""
        output: Tensor = self.second(self.first(x))
        return output


def two_layers(layer: nn.Module, rank: int) -> TwoLayers:
    """The two in place of a linear layer or an ungrouped convolution, with fresh weights."""
    if isinstance(layer, nn.Linear):
        second = nn.Linear(rank, layer.out_features, bias=layer.bias is not None)
        return TwoLayers(nn.Linear(layer.in_features, rank, bias=False), second)
    assert isinstance(layer, nn.Conv2d)
    kernel, stride = layer.kernel_size, layer.stride
    padding, dilation = layer.padding, layer.dilation
    first = nn.Conv2d(
        *(layer.in_channels, rank, kernel, stride, padding, dilation),  # type: ignore[arg-type]
        bias=False,
    )
    return TwoLayers(first, nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None))


def factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Weights of the two layers in place of one with this weight.

    Args:
        weight: (outputs, inputs, ...).
        rank: Values between the two.
    """
    left, singular, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    root = singular[:rank].sqrt()
    first = (root[:, None] * right[:rank]).reshape(rank, *weight.shape[1:])
    second = left[:, :rank] * root
    return first, second.reshape(*second.shape, *[1] * (weight.ndim - 2))
