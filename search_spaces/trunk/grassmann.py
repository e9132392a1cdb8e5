"""A head whose classes are subspaces: a class scores by how much of the features lies in its own.

    logit of a class = SCALE * |S^T x| / |x|,     S^T S = 1

Source: Wang et al., Get the Best of Both Worlds: Improving Accuracy and Transferability by
Grassmann Class Representation (2023), section 3. Departures: subspaces have 2 dimensions; a basis S
is the orthonormal factor of a matrix that is trained like any other, instead of being trained on
the manifold with a retraction after each step. So the first channels of the matrix have a basis of
their own, which narrower members use, and any optimizer trains it. Bases are stored when a network
is deployed. ReLU and the average before it are as in `pooled`.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import Mixing
from search_spaces.trunk._base import TRUNK, AbstractTrunk, Place

DIMENSIONS = 2
"""Of a class's subspace."""

SCALE = 25.0
"""Of logits, which are cosines."""

LENGTH_NODES, NORM_NODES = 4, 3
"""In a file: of a vector's length and the division by it, and of lengths of projections."""


@final
@TRUNK.register
class Grassmann(AbstractTrunk):
    """From the last map to logits: `shape.size` is (1, 1), `shape.width` the classes."""

    place: ClassVar[Place] = "head"
    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """A linear layer without bias to the coordinates in all subspaces."""
        shape = signature.shape
        channels, outputs = shape.in_width, DIMENSIONS * shape.width
        # Sparsity patterns leave it alone: without some of its numbers a basis is none.
        matrix = layers.matrix(1, channels, outputs)
        matrix = matrix._replace(matrix_grouped=0, blocked=0, blocked_macs=0)
        weights = channels * outputs
        basis = layers.layer(1, weights, outputs, graph_bytes=layers.LINEAR_BYTES) + matrix
        average = Cost(elements=channels, calls=1, quantizers=2)
        lengths = Cost(elements=2 * channels + 4 * outputs, calls=LENGTH_NODES + NORM_NODES)
        nodes = layers.nodes(2 + LENGTH_NODES + NORM_NODES, values=layers.FILE_BYTES)
        return layers.pointwise(shape.in_pixels, channels) + average + basis + lengths + nodes
