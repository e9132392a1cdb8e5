"""The contract of a stem's, a downsampling's or a head's implementation."""

from search_spaces import Registry, Signature
from supernets._elastic import AbstractUnpruned, Index
from supernets.blocks._base import AbstractElasticBlock

TRUNK_BLOCKS = Registry("supernets.trunk", "trunk block", AbstractElasticBlock)


class AbstractTrunkBlock(AbstractUnpruned, AbstractElasticBlock):
    """A block in which only widths are elastic."""

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """The two widths."""
        return {"in_width": signature.shape.in_width, "width": signature.shape.width}
