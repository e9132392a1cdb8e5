"""Plain networks: what is extracted, compressed and exported.

Built from slots alone, so a file with weights and the slots' description is all that loading needs.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from search_spaces import Signature, Slot
from supernets.blocks._base import BLOCKS
from supernets.blocks._fixed import FIXED_BLOCKS
from supernets.mixers._base import MIXERS
from supernets.mixers._mlp import PlainMixerBlock


class PlainNetwork(nn.Module):
    """Slots in a row. Submodules are called like the slots, with "_" for "."."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        super().__init__()
        for slot in slots:
            self.add_module(module_name(slot.name), plain_module(slot.signature))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Logits, (B, classes)."""
        for module in self.children():
            x_BCHW = module(x_BCHW)
        return x_BCHW


def module_name(slot: str) -> str:
    """Name of the submodule that fills a slot: "stage2.block1" is "stage2_block1"."""
    return slot.replace(".", "_")


def plain_class(operator: str) -> type[nn.Module]:
    """The plain module that a signature of this operator builds."""
    if operator in MIXERS.names():
        return PlainMixerBlock
    block = FIXED_BLOCKS.get(operator) or BLOCKS.get(operator)
    plain: type[nn.Module] = block.plain
    return plain


def plain_module(signature: Signature) -> nn.Module:
    """The plain module of one slot, with fresh weights."""
    return plain_class(signature.operator)(signature)
