"""Stem, downsampling and head: slots that every network has."""

from typing import ClassVar, final

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.operators._fixed import stem_kernel_size
from supernets._elastic import Axes, Index
from supernets._modules import NORM_EPS, ConvNorm, conv_norm_axes, linear_axes, norm_axes
from supernets.blocks._base import AbstractBlock


class PlainStem(nn.Module):
    """One convolution with batch norm and ReLU6."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        stride = signature.pick.number("stride")
        shape = signature.shape
        kernel_size = stem_kernel_size(stride)
        self.layer = ConvNorm(shape.in_width, shape.width, kernel_size, stride=stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / stride, W / stride)."""
        return self.layer(x_BCHW)


class PlainDownsample(nn.Module):
    """3x3 convolution of stride 2, batch norm, ReLU6: part of the trunk all members share."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.layer = ConvNorm(shape.in_width, shape.width, 3, stride=2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, width, H / 2, W / 2), rounded up."""
        return self.layer(x_BCHW)


class PlainHead(nn.Module):
    """3x3 convolution with batch norm and ReLU6, global average pool, layer norm, classifier."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        shape = signature.shape
        self.layer = ConvNorm(shape.in_width, shape.in_width, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.norm = nn.LayerNorm(shape.in_width, eps=NORM_EPS)
        self.classifier = nn.Linear(shape.in_width, shape.width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits, (B, classes)."""
        return self.classifier(self.norm(self.pool(self.layer(x_BCHW)).flatten(1)))


class AbstractFixed(AbstractBlock):
    """A block in which only widths are elastic."""

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The two widths."""
        return {"in_width": signature.shape.in_width, "width": signature.shape.width}

    def importance(self) -> dict[str, Tensor]:
        """Nothing can be pruned."""
        return {}


@final
class Stem(AbstractFixed):
    """Elastic output width; the images' channels are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainStem
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", None)


@final
class Downsample(AbstractFixed):
    """Elastic widths."""

    plain: ClassVar[type[nn.Module]] = PlainDownsample
    axes: ClassVar[Axes] = conv_norm_axes("layer", "width", "in_width")


@final
class Head(AbstractFixed):
    """Elastic input width; the classes are fixed."""

    plain: ClassVar[type[nn.Module]] = PlainHead
    axes: ClassVar[Axes] = {
        **conv_norm_axes("layer", "in_width", "in_width"),
        **norm_axes("norm", "in_width"),
        **linear_axes("classifier", None, "in_width"),
    }


FIXED_BLOCKS: dict[str, type[AbstractBlock]] = {
    "stem": Stem,
    "downsample": Downsample,
    "head": Head,
}
