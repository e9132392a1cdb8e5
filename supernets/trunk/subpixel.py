"""The head that gives an image; source and departures in search_spaces/trunk/subpixel.py."""

from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Signature
from search_spaces.trunk.subpixel import KERNEL_SIZE, scale_of
from supernets._elastic import Axes
from supernets._merged import AbstractMergedConv
from supernets.trunk._base import TRUNK_BLOCKS, AbstractTrunkBlock


@final
class UpsamplingConv2d(nn.Module, AbstractMergedConv):
    """A convolution to the pixels at each position, which begins as nearest upsampling.

    No `nn.Conv2d`, whose first weights are random.

    Args:
        in_width: Channels that come in, those of the image first.
        scale: Pixels of a side at each position.
        channels: Of the image.
    """

    def __init__(self, in_width: int, scale: int, channels: int) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = 1, KERNEL_SIZE // 2, 1
        width = scale**2 * channels
        self.weight = nn.Parameter(torch.zeros(width, in_width, KERNEL_SIZE, KERNEL_SIZE))
        self.bias = nn.Parameter(torch.zeros(width))
        with torch.no_grad():
            for channel in range(min(channels, in_width)):
                pixels = slice(channel * scale**2, (channel + 1) * scale**2)
                self.weight[pixels, channel, self.padding, self.padding] = 1.0

    def kernel(self) -> tuple[Tensor, Tensor | None]:
        """As they are."""
        return self.weight, self.bias

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, scale ** 2 * channels, H, W)."""
        return F.conv2d(x_BCHW, self.weight, self.bias, 1, self.padding)


class PlainSubpixel(nn.Module):
    """3x3 convolution, depth to space."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        scale, channels = scale_of(signature.shape.width)
        self.layer = UpsamplingConv2d(signature.shape.in_width, scale, channels)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, channels, scale * H, scale * W)."""
        return self.shuffle(self.layer(x_BCHW))


@final
@TRUNK_BLOCKS.register
class ElasticSubpixel(AbstractTrunkBlock):
    """Elastic input width; outputs are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainSubpixel
    axes: ClassVar[Axes] = {
        "layer.weight": (None, "in_width", None, None),
        "layer.bias": (None,),
    }
