"""Modules that are deployed as something else than what is trained, and compute the same.

Folding (`supernets/fold.py`) puts `merged()` in place of each. While a network with frozen
statistics is trained further (`supernets/tune.py`), those that become a convolution are that
convolution already, whose kernel is made anew in every step.

Shapes: B batch, C channels, H W space, K side of a kernel, M elements of a kernel, S bands.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces._sides import Sides
from supernets._differences import KERNELS

NOTHING: Mapping[str, int] = MappingProxyType({})


class AbstractMerged(ABC):
    """What a module has that is deployed as another one."""

    @abstractmethod
    def merged(self) -> nn.Module:
        """The module that computes in evaluation mode what this one does, with copies of weights.

        It draws no random numbers.
        """


class AbstractMergedConv(AbstractMerged):
    """What a module has that is deployed as one convolution.

    Attributes:
        stride: As in `nn.Conv2d`, like the others.
        padding: With zeros.
        groups: As many as channels if it is depthwise.
    """

    stride: Any
    padding: Any
    groups: int

    @abstractmethod
    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of that convolution, with gradients to all that they are made of."""

    @torch.no_grad()
    def merged(self) -> nn.Conv2d:
        """The convolution."""
        weight, bias = self.kernel()
        outputs, inputs, *sides = weight.shape
        conv = nn.Conv2d(
            inputs * self.groups,
            outputs,
            tuple(sides),  # type: ignore[arg-type]  # two of them
            self.stride,
            self.padding,
            groups=self.groups,
            bias=bias is not None,
            device="meta",
        )
        conv.weight = nn.Parameter(weight.clone())
        if bias is not None:
            conv.bias = nn.Parameter(bias.clone())
        return conv


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """What a batch norm multiplies every channel by in evaluation mode, and adds to it: (C,) each.

    Args:
        norm: Has a batch norm's parameters, buffers and `eps`.
    """
    mean_C, variance_C = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    weight_C, bias_C = norm._parameters["weight"], norm._parameters["bias"]
    assert isinstance(norm.eps, float)
    scale_C = torch.rsqrt(variance_C + norm.eps)
    if weight_C is not None:
        scale_C = scale_C * weight_C
    shift_C = -mean_C * scale_C
    return scale_C, shift_C if bias_C is None else shift_C + bias_C


class _Branch(nn.Module):
    """A depthwise convolution and its batch norm; no `nn.Conv2d`, because none is deployed."""

    def __init__(self, width: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.weight = nn.Parameter(torch.empty(width, 1, kernel_size, kernel_size))
        nn.init.normal_(self.weight, std=2**0.5 / kernel_size)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        reach = self.dilation * (self.kernel_size // 2)
        return self.norm(
            F.conv2d(x_BCHW, self.weight, None, 1, reach, self.dilation, x_BCHW.shape[1])
        )

    def kernel(self, kernel_size: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution without holes that does the same: (C, 1, K, K), (C,)."""
        scale_C, shift_C = scale_and_shift(self.norm)
        span = self.dilation * (self.kernel_size - 1) + 1
        spread = self.weight.new_zeros(len(self.weight), 1, span, span)
        spread[:, :, :: self.dilation, :: self.dilation] = self.weight
        spread = spread * scale_C.reshape(-1, 1, 1, 1)
        return F.pad(spread, 4 * [(kernel_size - span) // 2]), shift_C


@final
class BranchedDepthwise(nn.Module, AbstractMergedConv):
    """A large depthwise convolution and smaller dilated ones beside it, each with a batch norm.

    Source: Ding et al., UniRepLKNet (2024), dilated re-parameterised block.

    Args:
        width: Channels.
        branches: Kernel size and dilation of each by its name. The largest reaches as far as any.
    """

    def __init__(self, width: int, branches: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.kernel_size = max(size for size, _ in branches.values())
        self.stride, self.padding, self.groups = 1, self.kernel_size // 2, width
        self.branches = nn.ModuleDict(
            {name: _Branch(width, *options) for name, options in branches.items()}
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The sum of the branches; the shape that came in."""
        return reduce(torch.add, (branch(x_BCHW) for branch in self.branches.values()))

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """The sum of the branches' kernels, their holes filled with zeros."""
        weights, biases = [], []
        for branch in self.branches.values():
            assert isinstance(branch, _Branch)
            weight, bias = branch.kernel(self.kernel_size)
            weights.append(weight)
            biases.append(bias)
        return reduce(torch.add, weights), reduce(torch.add, biases)


@final
class NormedConv2d(nn.Conv2d, AbstractMergedConv):
    """A batch norm and the 1x1 convolution behind it, which has a bias.

    A batch norm before other kernels could not be a part of them: their padding is not normalised.

    Args:
        in_width: Channels that come in.
        width: Channels that go out.
    """

    def __init__(self, in_width: int, width: int) -> None:
        super().__init__(in_width, width, 1)
        self.in_norm = nn.BatchNorm2d(in_width)

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """What the convolution makes of the norm's scales and shifts."""
        scale_C, shift_C = scale_and_shift(self.in_norm)
        assert self.bias is not None
        bias = torch.addmv(self.bias, self.weight.flatten(1), shift_C)
        return self.weight * scale_C.reshape(1, -1, 1, 1), bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        return self._conv_forward(self.in_norm(x_BCHW), self.weight, self.bias)


@final
class ScaledConv2d(nn.Conv2d, AbstractMergedConv):
    """A 1x1 convolution with a bias, whose output is multiplied by a constant.

    Args:
        in_width: Channels that come in.
        width: Channels that go out.
        scale: The constant.
    """

    def __init__(self, in_width: int, width: int, *, scale: float) -> None:
        super().__init__(in_width, width, 1)
        self.scale = scale

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """Both multiplied."""
        assert self.bias is not None
        return self.scale * self.weight, self.scale * self.bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H, W)."""
        return self._conv_forward(x_BCHW, *self.kernel())


@final
class WeightedConv2d(nn.Conv2d, AbstractMergedConv):
    """A convolution whose kernel is made before use: differences are added, densities multiplied.

    The density is the outer product of (a, ..., a, 1, a, ..., a) with itself. Differences have
    weights of their own, which start at 0.

    Sources: Cammarasana and Patanè, Optimal Weighted Convolution for Classification and Denoising
    (2025); differences: `supernets/_differences.py`.

    Args:
        in_width: Channels that come in.
        width: Channels that go out.
        kernel_size: Odd; the padding keeps the map's size.
        stride: Of the convolution.
        density: a.
        differences: Weights of a pair of channels by the kind of difference, of 3x3 kernels.
    """

    def __init__(
        self,
        in_width: int,
        width: int,
        kernel_size: int,
        stride: int | Sides,
        *,
        density: float = 1.0,
        differences: Mapping[str, int] = NOTHING,
    ) -> None:
        super().__init__(in_width, width, kernel_size, stride, kernel_size // 2, bias=False)
        self.density, self.differences = density, tuple(differences)
        for name, number in differences.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(width, in_width, number)))

    @property
    def keeps_zeros(self) -> bool:
        """Whether the kernel that is used is 0 where the weight is."""
        return not self.differences

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """The kernel that is used; no bias."""
        side_K = self.weight.new_full(self.kernel_size[:1], self.density)
        side_K[len(side_K) // 2] = 1.0
        kernel = self.weight
        for name in self.differences:
            kernel = kernel + KERNELS[name](getattr(self, name))
        return kernel * torch.outer(side_K, side_K), None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        return self._conv_forward(x_BCHW, *self.kernel())


@final
class SpacedDepthwise(nn.Module, AbstractMergedConv):
    """A depthwise convolution whose kernel has few elements at places that are learnt.

    An element at a place between taps is spread over the four taps around it, bilinearly.

    Source: Khalfaoui-Hassani et al., Dilated Convolution with Learnable Spacings (2023).
    Departure: a place is the reach of the kernel times tanh of what is learnt, instead of being
    clamped, so gradients never vanish, and the same weights fit a kernel of any size.

    Args:
        width: Channels.
        kernel_size: Of the grid.
        num_elements: Of each channel's kernel.
    """

    def __init__(self, width: int, kernel_size: int, num_elements: int) -> None:
        super().__init__()
        self.reach = kernel_size // 2
        self.stride, self.padding, self.groups = 1, self.reach, width
        self.weight = nn.Parameter(torch.empty(width, num_elements))
        self.places = nn.Parameter(torch.empty(width, 2, num_elements))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight, std=(2 / num_elements) ** 0.5)
        nn.init.normal_(self.places, std=0.5)

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """(C, 1, K, K) and (C,)."""
        like, reach = self.weight, self.reach
        taps_K = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
        places_C2M = reach * self.places.tanh()
        shares_C2MK = (1 - (places_C2M[..., None] - taps_K).abs()).clamp_min(0)
        rows_CMK = self.weight[..., None] * shares_C2MK[:, 0]
        return (rows_CMK.transpose(1, 2) @ shares_C2MK[:, 1])[:, None], self.bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        return F.conv2d(x_BCHW, *self.kernel(), 1, self.reach, 1, self.groups)


@final
class BandedDepthwise(nn.Module, AbstractMergedConv):
    """One depthwise kernel per band of frequencies: (B, C, H, W) to (B, C * bands, H, W).

    What is learnt are the kernel's coefficients in frequency, each of which belongs to one band, so
    the kernels of all bands have as many parameters as one kernel.

    Source: Chen et al., Frequency Dynamic Convolution for Dense Image Prediction (2025), Fourier
    disjoint weight. Departure: Hartley's transform of every channel's kernel instead of Fourier's
    of all kernels side by side: coefficients are real, and the first channels and lowest
    frequencies are a smaller kernel's.

    Args:
        width: Channels.
        bands: The band of every frequency, from 0, for a kernel with zero frequency at its centre.
    """

    def __init__(self, width: int, bands: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.bands = [list(row) for row in bands]
        self.reach = len(bands) // 2
        self.stride, self.padding, self.groups = 1, self.reach, width
        self.coefficients = nn.Parameter(torch.empty(width, len(bands), len(bands)))
        nn.init.normal_(self.coefficients, std=2**0.5 / len(bands))

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """(C * bands, 1, K, K), the bands of a channel side by side; no bias."""
        side, like = len(self.bands), self.coefficients
        taps_K = torch.arange(side, device=like.device, dtype=like.dtype) - self.reach
        angles_KK = 2 * math.pi / side * torch.outer(taps_K, taps_K)
        waves_KK = (angles_KK.cos() + angles_KK.sin()) / side**0.5
        band_KK = torch.tensor(self.bands).to(like.device)
        numbers_S = torch.arange(1 + max(map(max, self.bands)), device=like.device)
        in_band_SKK = (band_KK == numbers_S[:, None, None]).to(like.dtype)
        kernels_CSKK = waves_KK @ (like[:, None] * in_band_SKK) @ waves_KK
        return kernels_CSKK.reshape(-1, 1, side, side), None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C * bands, H, W)."""
        return F.conv2d(x_BCHW, *self.kernel(), 1, self.reach, 1, self.groups)
