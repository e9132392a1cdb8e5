"""Token mixers without attention: depthwise convolutions and MLPs over positions."""

from typing import final

from search_spaces._base import SPACES, AbstractSpace
from search_spaces._family import family
from search_spaces._space import SearchSpace

OPERATORS = ("convnext", "inception", "raft")


@final
@SPACES.register
class Mixer(AbstractSpace):
    """`convnext`, `inception` or `raft` in every block, each with the channel MLP."""

    def build(self, *, resolution: int, channels: int, num_classes: int) -> SearchSpace:
        """Widths, depths and options of `_family.py`."""
        return family(
            "mixer",
            OPERATORS,
            resolution=resolution,
            channels=channels,
            num_classes=num_classes,
        )
