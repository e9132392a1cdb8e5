"""The plain block of a slot that a mixer fills: the mixer, then the slot's channel part."""

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.channel_parts._base import channel_part_name
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS
from supernets.mixers._base import MIXERS


class PlainMixerBlock(nn.Module):
    """A token mixer and a channel part with their shortcuts.

    Whichever the channel part is, its submodule is `mlp`, as files of networks have it.
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        elastic = MIXERS.get(signature.operator)
        self.has_shortcut = elastic.has_shortcut
        self.mixer = elastic.plain(signature)
        self.mlp = ELASTIC_CHANNEL_PARTS.get(channel_part_name(signature.pick)).plain(signature)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        x_BHWC = x_BCHW.permute(0, 2, 3, 1)
        mixed = self.mixer(x_BHWC)
        if self.has_shortcut:
            x_BHWC = x_BHWC + mixed
            mixed = x_BHWC
        x_BHWC = x_BHWC + self.mlp(mixed)
        return x_BHWC.permute(0, 3, 1, 2)
