"""Instance norm of the first half of the channels, batch norm of the others, and ReLU6.

Source: Pan et al., Two at Once: Enhancing Learning and Generalization Capacities via IBN-Net
(2018), section 3.2, IBN-a. Departures: ReLU6 instead of ReLU, like all of our convolutions; a block
has it behind each of its convolutions that have an activation, where IBN-a has it behind the first.
That only shallow stages have it is up to what stages offer.
"""

from typing import ClassVar, final

from search_spaces import _layers as layers
from search_spaces._slot import Cost
from search_spaces.norms._base import NORMS, AbstractNorm

MAPS, CALLS, NODES = 4, 5, 5
"""Whole maps that are written (two halves, both normalised, side by side, clamped), kernels and
nodes in a file."""


@final
@NORMS.register
class InstanceBatchNormReLU6(AbstractNorm):
    """The instance norm keeps the batch norm beside it from being folded."""

    is_batch_norm: ClassVar[bool] = False
    has_batch_statistics: ClassVar[bool] = True

    def cost(self, n: int, width: int) -> Cost:
        """As many parameters as batch norm; the statistics of the second half are stored, too."""
        stored = 2 * width + 2 * (width - width // 2)
        own = Cost(params=2 * width, vectors=stored, elements=MAPS * n * width, calls=CALLS)
        return own + Cost(quantizers=1) + layers.nodes(NODES)
