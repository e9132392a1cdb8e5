"""The operation that leaves a map as it is: skip connections of cells, and sums of several maps.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3, the operation "identity". Departures: none. It also fills the nodes of cells, where what
is added up comes in, and no node of a file is left of it.
"""

from typing import ClassVar, final

from search_spaces._slot import Cost, Signature
from search_spaces.operators._base import OPERATORS, Mixing
from search_spaces.operators._unweighted import AbstractUnweighted


@final
@OPERATORS.register
class Identity(AbstractUnweighted):
    """Nothing: what comes in goes out."""

    mixing: ClassVar[tuple[Mixing, ...]] = ()

    def cost(self, signature: Signature) -> Cost:
        """None."""
        return Cost()
