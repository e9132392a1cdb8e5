"""Blocks whose channels a stage may have scaled by gates."""

from collections.abc import Mapping
from typing import ClassVar

from search_spaces._choice import Option
from search_spaces._registry import Registry
from search_spaces.channel_attentions._base import (
    CHANNEL_ATTENTION,
    CHANNEL_ATTENTIONS,
    NO_ATTENTION,
)
from search_spaces.operators._normed import AbstractNormedBlock


class AbstractAttendedBlock(AbstractNormedBlock):
    """Reads "channel_attention" besides "norm"."""

    defaults: ClassVar[Mapping[str, Option]] = {
        CHANNEL_ATTENTION: NO_ATTENTION,
        **AbstractNormedBlock.defaults,
    }
    words: ClassVar[Mapping[str, tuple[str, ...] | Registry]] = {
        CHANNEL_ATTENTION: CHANNEL_ATTENTIONS,
        **AbstractNormedBlock.words,
    }
