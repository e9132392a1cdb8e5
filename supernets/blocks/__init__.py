"""Operators that bring their own channel part. One file per operator."""

from supernets._elastic import KERNEL, Axes, Index
from supernets._modules import ConvNorm, conv_norm_axes
from supernets.blocks._base import BLOCKS, AbstractElasticBlock

__all__ = [
    "BLOCKS",
    "KERNEL",
    "AbstractElasticBlock",
    "Axes",
    "ConvNorm",
    "Index",
    "conv_norm_axes",
]
