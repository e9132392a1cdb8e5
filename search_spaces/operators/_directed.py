"""What mixers have in common that scan a map in up to four directions."""

from collections.abc import Mapping
from typing import ClassVar

from search_spaces._choice import Option
from search_spaces._scans import MOST_DIRECTIONS, NUM_DIRECTIONS, STATE_SIZE, TOKEN_SHARE
from search_spaces.operators._base import AbstractMixer, Mixing


class AbstractDirectedScans(AbstractMixer):
    """A mixer of convolutions and selective scans, of which states, directions and the share of the
    tokens that is scanned are decided."""

    mixing: ClassVar[tuple[Mixing, ...]] = ("convolution", "attention")
    mixer_dims: ClassVar[tuple[str, ...]] = (STATE_SIZE, NUM_DIRECTIONS, TOKEN_SHARE)
    defaults: ClassVar[Mapping[str, Option]] = {
        STATE_SIZE: 1,
        NUM_DIRECTIONS: MOST_DIRECTIONS,
        TOKEN_SHARE: 1,
    }
