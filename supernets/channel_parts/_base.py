"""The contract of a channel part's implementation."""

from typing import ClassVar

from search_spaces import Registry, Signature
from supernets._elastic import AbstractElastic, Index
from supernets.criteria._base import GroupWeights


class AbstractElasticChannelPart(AbstractElastic):
    """An elastic module that mixes channels: (B, H, W, C) to the same shape, without shortcut.

    Its weights serve maps of all sides.
    """


class AbstractElasticExpansion(AbstractElasticChannelPart):
    """Elastic width and expansion; hidden channels can be pruned.

    Linear layers called `expand` and `project` make and read these.
    """

    prunable: ClassVar[tuple[str, ...]] = ("hidden",)

    def sizes(self, signature: Signature) -> dict[str, Index]:
        """Hidden channels are the first width * expansion, less the pruned ones."""
        width = signature.shape.width
        hidden = width * signature.pick.number("expand_ratio")
        return {"width": width, "hidden": self.kept("hidden", hidden, signature)}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each hidden channel's row of the first matrix and column of the second."""
        expand = self.full.get_parameter("expand.weight")
        project = self.full.get_parameter("project.weight")
        return {"hidden": GroupWeights(expand, project.transpose(0, 1), None, len(expand))}


ELASTIC_CHANNEL_PARTS = Registry(
    "supernets.channel_parts", "elastic channel part", AbstractElasticChannelPart
)
