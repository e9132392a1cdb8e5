"""The operation that leaves a map as it is: skip connections of cells, and sums of several maps.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (2018),
section 3, the operation "identity". Departures: none. It also fills the nodes of cells, where what
is added up comes in, and no node of a file is left of it.
"""

from typing import ClassVar, final

from search_spaces._choice import Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import OPERATORS, AbstractBlock, Mixing


@final
@OPERATORS.register
class Identity(AbstractBlock):
    """Nothing: what comes in goes out."""

    mixing: ClassVar[tuple[Mixing, ...]] = ()
    dims: ClassVar[tuple[str, ...]] = ()

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """There is nothing to be decided."""
        return Options()

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """None."""
        return {}

    def cost(self, signature: Signature) -> Cost:
        """None."""
        return Cost()
