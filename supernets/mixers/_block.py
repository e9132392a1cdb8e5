"""The plain block of a slot that a mixer fills: the mixer, then the slot's channel part.

Both may be used several times, one pass behind the other (`_between.py`).
"""

from torch import Tensor, nn

from search_spaces import Signature
from search_spaces.channel_parts._base import channel_part_name
from search_spaces.operators._repeated import num_passes
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS
from supernets.mixers._base import MIXERS
from supernets.mixers._between import PlainBetween


class PlainMixerBlock(nn.Module):
    """A token mixer and a channel part with their shortcuts.

    Whichever the channel part is, its submodule is `mlp`, as files of networks have it.
    """

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        elastic = MIXERS.get(signature.operator)
        self.has_shortcut, self.sees_pass = elastic.has_shortcut, elastic.sees_pass
        self.passes = num_passes(signature.pick)
        self.mixer = elastic.plain(signature)
        self.mlp = ELASTIC_CHANNEL_PARTS.get(channel_part_name(signature.pick)).plain(signature)
        if self.passes > 1:
            self.between = PlainBetween(signature)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""
        x_BHWC = x_BCHW.permute(0, 2, 3, 1)
        for number in range(self.passes):
            if number:
                x_BHWC = self.between(x_BHWC, number)
            x_BHWC = self._passed(x_BHWC, number)
        return x_BHWC.permute(0, 3, 1, 2)

    def _passed(self, x_BHWC: Tensor, number: int) -> Tensor:
        """The map behind one pass."""
        mixed = self.mixer(x_BHWC, number) if self.sees_pass else self.mixer(x_BHWC)
        if self.has_shortcut:
            x_BHWC = x_BHWC + mixed
            mixed = x_BHWC
        return x_BHWC + self.mlp(mixed)
