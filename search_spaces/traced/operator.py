"""What fills a slot of a traced network: a fragment of its graph."""

from collections.abc import Mapping
from typing import ClassVar, final

from search_spaces._choice import Option, Options
from search_spaces._slot import Cost, Group, Shape, Signature
from search_spaces.operators._base import AbstractBlock, Mixing
from search_spaces.traced._axes import length
from search_spaces.traced._fragment import Fragment

FRAGMENT = "fragment"
"""Name of the operator, and of the one thing that its pick says: the fragment's text."""


@final
class FragmentOperator(AbstractBlock):
    """A fragment, whose groups may lose members."""

    mixing: ClassVar[tuple[Mixing, ...]] = ()
    dims: ClassVar[tuple[str, ...]] = (FRAGMENT,)
    defaults: ClassVar[Mapping[str, Option]] = {}

    def normalise(self, pick: Options, shape: Shape) -> Options:
        """As it is."""
        return pick

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Those of the fragment."""
        return Fragment.of_text(pick.text(FRAGMENT)).prunable

    def input_shape(self, signature: Signature) -> tuple[int, ...]:
        """As the fragment says."""
        sizes = sizes_of(signature)
        return tuple(length(axis, sizes) for axis in fragment_of(signature).axes[1:])

    def cost(self, signature: Signature) -> Cost:
        """Of the fragment with what remains of its groups."""
        return fragment_of(signature).cost(sizes_of(signature), signature.rank)


def fragment_of(signature: Signature) -> Fragment:
    """What fills a slot of a traced network."""
    return Fragment.of_text(signature.pick.text(FRAGMENT))


def sizes_of(signature: Signature) -> dict[str, int]:
    """How many members of its groups remain."""
    return {name: signature.kept.number(name) for name in signature.kept}
