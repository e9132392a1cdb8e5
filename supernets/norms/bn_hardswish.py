"""Batch norm and hard swish; sources in search_spaces/norms/bn_hardswish.py."""

from typing import final

from torch import nn

from supernets.norms._base import NORM_LAYERS, AbstractNormLayers


@final
@NORM_LAYERS.register
class BatchNormHardSwishLayers(AbstractNormLayers):
    """Batch norm and hard swish."""

    def norm(self, width: int) -> nn.Module:
        """Batch norm."""
        return nn.BatchNorm2d(width)

    def act(self) -> nn.Module:
        """See `AbstractNormLayers.act`."""
        return nn.Hardswish()
