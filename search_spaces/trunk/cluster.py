"""From a map to a smaller one of clusters, without weights: the blocks behind it run on that.

Source: Liang et al., Expediting Large-Scale Vision Transformer for Dense Prediction without
Fine-tuning (2022), the token clustering layer: behind a layer of a network that has been trained,
neighbouring tokens are gathered by local k-means that starts on a grid, each token belonging softly
to clusters around it, as superpixels do. Departures: cells of a grid are equal parts of the map,
which is padded to whole ones, instead of adaptive averages, so any operator runs on the map of
clusters; the temperature is the mean squared distance of positions from their cells' clusters
instead of a constant, so it needs no tuning and no unit; clusters move once. How often, and that
positions look at the 3x3 clusters around them, is from memory of the paper.
"""

from typing import ClassVar, final

from search_spaces._choice import Options
from search_spaces._clusters import CELL, TOKENS_PER_CLUSTER, cluster_pick, gathering
from search_spaces._slot import Cost, Shape, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place


@final
@TRUNK.register
class Cluster(AbstractTrunk):
    """Means of cells, moved to what is like them."""

    place: ClassVar[Place] = "cluster"
    mixing: ClassVar[tuple[Mixing, ...]] = ()
    dims: ClassVar[tuple[str, ...]] = (TOKENS_PER_CLUSTER,)

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """Adds the cell; one that is larger than the map is the map."""
        return cluster_pick(pick.number(TOKENS_PER_CLUSTER), shape.in_size)

    def cost(self, signature: Signature) -> Cost:
        """Products of positions with nine clusters each, and sums over them."""
        shape = signature.shape
        return gathering(shape.in_size, shape.in_width, signature.pick.sides(CELL))
