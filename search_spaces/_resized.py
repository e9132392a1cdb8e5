"""A network on images of another size: what fills every slot there.

Maps follow the size of the images as in any network of ours: each slot divides the sides of what it
reads by its stride, and rounds up. Options that mean less on a smaller map are reduced, as they are
in a space for such images; on larger maps they stay. Weights are the same ones where they do not
belong to a map's sides.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from search_spaces._clusters import CELL, TOKENS_PER_CLUSTER, cell_of, grid_of
from search_spaces._sides import Sides
from search_spaces._slot import Signature, Slot
from search_spaces.networks._filled import filled

POOLED = (1, 1)
"""Size of what a head gives, whatever it reads."""


def resized(slots: Sequence[Slot], sides: Sides) -> tuple[Slot, ...]:
    """The same network for images of these sides.

    Args:
        slots: Of operators, not of a network that was traced.
        sides: Height and width of the images, pixels.

    Raises:
        CandidateError: If an operator cannot stand on one of the maps.
    """
    sizes: dict[str, Sides] = {"": sides}
    found: list[Slot] = []
    before = ""
    for slot in slots:
        read = [sizes[name] for name in slot.inputs or (before,)]
        if slot.join == "tokens":
            signature = _of_tokens(slot.signature, read)
        else:
            signature = _on(slot.signature, read[0])
        sizes[slot.name] = signature.shape.size
        found.append(replace(slot, signature=signature))
        before = slot.name
    return tuple(found)


def _of_tokens(signature: Signature, read: Sequence[Sides]) -> Signature:
    """What a signature becomes that reads the positions of these maps and gives one of the first
    one's size."""
    tokens = sum(math.prod(size) for size in read)
    shape = replace(signature.shape, in_size=(tokens, 1), size=read[0])
    pick = filled(signature.operator, shape, signature.pick).pick
    return replace(signature, shape=shape, pick=pick)


def _on(signature: Signature, in_size: Sides) -> Signature:
    """What a signature becomes on a map of this size."""
    shape = replace(signature.shape, in_size=in_size, size=_out_size(signature, in_size))
    pick = filled(signature.operator, shape, signature.pick).pick
    return replace(signature, shape=shape, pick=pick)


def _out_size(signature: Signature, in_size: Sides) -> Sides:
    shape, pick = signature.shape, signature.pick
    if CELL in pick:
        return grid_of(in_size, cell_of(pick.number(TOKENS_PER_CLUSTER), in_size))
    if shape.size == POOLED:
        return POOLED
    height, width = (-(-side // by) for side, by in zip(in_size, shape.stride, strict=True))
    return height, width
