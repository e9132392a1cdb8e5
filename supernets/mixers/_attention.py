"""Mixers of attention heads, which can be pruned as wholes."""

from typing import ClassVar

from search_spaces import Signature
from supernets._elastic import Index
from supernets._heads import AbstractHeads, head_sizes, head_weights
from supernets.criteria._base import GroupWeights
from supernets.mixers._base import AbstractElasticMixer


class AbstractElasticAttention(AbstractElasticMixer):
    """Elastic width and heads; whole heads can be pruned."""

    has_shortcut: ClassVar[bool] = True
    prunable: ClassVar[tuple[str, ...]] = ("heads",)

    heads_at: ClassVar[str] = ""
    """Where the heads are in the plain module; empty if it has them itself."""

    @property
    def with_heads(self) -> AbstractHeads:
        """The module at full size that has the heads."""
        module = self.full.get_submodule(self.heads_at)
        assert isinstance(module, AbstractHeads)
        return module

    def head_sizes(self, signature: Signature) -> dict[str, Index]:
        """Roles that follow from width and heads."""
        heads = self.kept("heads", signature.pick.number("num_heads"), signature)
        return {"width": signature.shape.width, **head_sizes(heads, self.with_heads)}

    def group_weights(self) -> dict[str, GroupWeights]:
        """Each head's rows of the values and columns of the projection."""
        return {"heads": head_weights(self.with_heads)}
