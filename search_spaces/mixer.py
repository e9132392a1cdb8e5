"""Token mixers without attention: depthwise convolutions and MLPs over positions."""

from typing import ClassVar, final

from search_spaces._base import SPACES
from search_spaces._family import AbstractFamily


@final
@SPACES.register
class Mixer(AbstractFamily):
    """`convnext`, `inception` or `raft` in every block, each with the MLP over channels."""

    name: ClassVar[str] = "mixer"
    operators: ClassVar[tuple[str, ...]] = ("convnext", "inception", "raft")
