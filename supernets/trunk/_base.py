"""The contract of a stem's, a downsampling's or a head's implementation."""

from search_spaces import Registry, Signature
from supernets._elastic import Index
from supernets.blocks._base import AbstractElasticBlock
from supernets.criteria._base import GroupWeights

TRUNK_BLOCKS = Registry("supernets.trunk", "trunk block", AbstractElasticBlock)


class AbstractTrunkBlock(AbstractElasticBlock):
    """A block in which only widths are elastic."""

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The two widths."""
        return {"in_width": signature.shape.in_width, "width": signature.shape.width}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Nothing can be pruned."""
        return {}
