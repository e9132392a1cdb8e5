"""Plain networks: what is extracted, compressed and exported.

Built from slots alone, so a file with weights and the slots' description is all that loading needs.
"""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from search_spaces import CandidateError, Sides, Signature, Slot, is_mixer, resized
from search_spaces.traced.operator import FRAGMENT
from supernets._elastic import AbstractElastic
from supernets._modules import Add
from supernets.blocks._base import BLOCKS
from supernets.mixers._base import MIXERS
from supernets.mixers._block import PlainMixerBlock
from supernets.traced.fragment import ElasticFragment
from supernets.trunk._base import TRUNK_BLOCKS


class PlainNetwork(nn.Module):
    """Slots and what feeds them. Submodules are called like the slots, with "_" for "."."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        super().__init__()
        self.arch = tuple(slots)
        for slot in slots:
            if has_sum(slot):
                self.add_module(join_name(slot.name), Add())
            self.add_module(module_name(slot.name), plain_module(slot.signature))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits, (B, classes)."""
        return walk(self.arch, x_BCHW, self._filled, self._added)

    def _filled(self, slot: Slot, x_BCHW: Tensor) -> Tensor:
        output: Tensor = self.get_submodule(module_name(slot.name))(x_BCHW)
        return output

    def _added(self, slot: Slot, x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
        output: Tensor = self.get_submodule(join_name(slot.name))(x_BCHW, y_BCHW)
        return output


def walk(
    slots: Sequence[Slot],
    x_BCHW: Tensor,
    fill: Callable[[Slot, Tensor], Tensor],
    add: Callable[[Slot, Tensor, Tensor], Tensor] = lambda slot, x, y: x + y,
) -> Tensor:
    """What the last slot gives if each reads what feeds it.

    Args:
        slots: Each after those that feed it.
        x_BCHW: The image.
        fill: What a slot makes of its input.
        add: The sum of two of its inputs.
    """
    kept = {name for slot in slots for name in slot.inputs or ()}
    maps = {"": x_BCHW}
    for slot in slots:
        if slot.inputs is not None:
            x_BCHW, *others = (maps[name] for name in slot.inputs)
            if others and slot.join == "tokens":
                pixels = {each.name: each.signature.shape.pixels for each in slots}
                sizes = [(-1, slot.signature.shape.in_width, pixels[x]) for x in slot.inputs]
                several = zip((x_BCHW, *others), sizes, strict=True)
                x_BCL = torch.cat([x.reshape(*size) for x, size in several], 2)
                x_BCHW = x_BCL.unsqueeze(-1)
            elif others and slot.join == "concatenation":
                x_BCHW = torch.cat([x_BCHW, *others], 1)
            else:
                for other_BCHW in others:
                    x_BCHW = add(slot, x_BCHW, other_BCHW)
        x_BCHW = fill(slot, x_BCHW)
        if slot.name in kept:
            maps[slot.name] = x_BCHW
    return x_BCHW


def has_sum(slot: Slot) -> bool:
    """Whether several maps are added up before the slot reads them."""
    return slot.join == "sum" and slot.num_inputs > 1


def module_name(slot: str) -> str:
    """Name of the submodule that fills a slot: "stage2.block1" is "stage2_block1"."""
    return slot.replace(".", "_")


def join_name(slot: str) -> str:
    """Name of the submodule that adds up what feeds a slot."""
    return f"{module_name(slot)}_join"


@cache
def elastic_class(operator: str) -> type[AbstractElastic]:
    """The implementation of what fills a slot."""
    if operator == FRAGMENT:
        return ElasticFragment
    registry = MIXERS if is_mixer(operator) else BLOCKS
    if operator in TRUNK_BLOCKS:
        registry = TRUNK_BLOCKS
    found: type[AbstractElastic] = registry.get(operator)
    return found


def plain_class(operator: str) -> type[nn.Module]:
    """The plain module that a signature of this operator builds."""
    return PlainMixerBlock if is_mixer(operator) else elastic_class(operator).plain


def plain_module(signature: Signature) -> nn.Module:
    """The plain module of one slot, with fresh weights."""
    return plain_class(signature.operator)(signature)


def slots_at(slots: Sequence[Slot], sides: Sides) -> tuple[Slot, ...] | None:
    """A member for images of another size; None if weights of it belong to its own maps.

    Args:
        slots: Of the member.
        sides: Height and width of the images, pixels.
    """
    if any(belongs_to_a_map(slot.signature.operator) for slot in slots):
        return None
    try:
        return resized(slots, sides)
    except CandidateError:
        return None


def belongs_to_a_map(operator: str) -> bool:
    """Whether the weights of what fills a slot are those of maps of one size."""
    return elastic_class(operator).is_sized
