"""The map again, of what became of its clusters, without weights.

It reads three maps, positions one after the other: the map before clusters were made of it, the
clusters, and what the blocks between made of these.

Source: Liang et al., Expediting Large-Scale Vision Transformer for Dense Prediction without
Fine-tuning (2022), the token reconstruction layer: every token is the combination of refined
clusters, weighed by how like it is to them before they were refined. Departures: a position gets
what blocks added to its clusters, not the clusters themselves, so it keeps what is its own, and
blocks that change nothing leave the map as it was; the clusters are the nine around it.
"""

from typing import ClassVar, final

from search_spaces._choice import Options
from search_spaces._clusters import CELL, TOKENS_PER_CLUSTER, cluster_pick, rebuilding
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Rebuild(AbstractTrunk):
    """Positions get what the clusters that they belong to have gained."""

    place: ClassVar[Place] = "rebuild"
    mixing: ClassVar[tuple[Mixing, ...]] = ()
    dims: ClassVar[tuple[str, ...]] = (TOKENS_PER_CLUSTER,)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the cell; one that is larger than the map is the map."""
        return cluster_pick(pick.number(TOKENS_PER_CLUSTER), shape.size)

    def cost(self, signature: Signature) -> Cost:
        """Products of positions with nine clusters each, and sums over them."""
        shape = signature.shape
        return rebuilding(shape.size, shape.width, signature.pick.sides(CELL))
