"""Batch norm and ReLU6; sources in search_spaces/norms/bn_relu6.py."""

from typing import final

from torch import nn

from supernets.norms._base import NORM_LAYERS, AbstractNormLayers


@final
@NORM_LAYERS.register
class BatchNormReLU6Layers(AbstractNormLayers):
    """Batch norm and ReLU6."""

    def norm(self, width: int) -> nn.Module:
        """Batch norm."""
        return nn.BatchNorm2d(width)

    def act(self) -> nn.Module:
        """See `AbstractNormLayers.act`."""
        return nn.ReLU6()
