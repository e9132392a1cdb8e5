"""The contract of a token mixer's implementation."""

from typing import ClassVar

from search_spaces import Registry
from supernets._elastic import AbstractElastic


class AbstractElasticMixer(AbstractElastic):
    """An elastic module that mixes positions: (B, H, W, C) to the same shape."""

    has_shortcut: ClassVar[bool]
    """Whether a shortcut goes around the mixer alone; if not, one goes around mixer
    and channel part."""

    sees_pass: ClassVar[bool] = False
    """Whether its plain module also takes the number of the pass, from 0, of a slot that uses its
    weights several times."""


MIXERS = Registry("supernets.mixers", "mixer", AbstractElasticMixer)
