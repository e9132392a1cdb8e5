"""Blocks without weights: their slots keep nothing, and members cost no memory."""

from typing import ClassVar

from search_spaces import Signature
from supernets._elastic import AbstractUnpruned, Axes, Index
from supernets.blocks._base import AbstractElasticBlock


class AbstractUnweighted(AbstractUnpruned, AbstractElasticBlock):
    """Nothing of it is shared, because there is nothing."""

    axes: ClassVar[Axes] = {}

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """None."""
        return {}
