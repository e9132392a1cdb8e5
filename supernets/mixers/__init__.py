"""Token mixers. One file per operator; the slot's channel part follows each of them."""

from supernets._elastic import KERNEL, Axes, Index
from supernets.mixers._base import MIXERS, AbstractElasticMixer

__all__ = ["KERNEL", "MIXERS", "AbstractElasticMixer", "Axes", "Index"]
