"""The contract of a channel part's declaration.

A *channel part* mixes the channels of every position, behind the token mixer of a slot. All mixers
of the slot share it, and a shortcut of the slot goes around it.
"""

from abc import ABC, abstractmethod
from functools import cache

from search_spaces._choice import Option, Options
from search_spaces._registry import Registry
from search_spaces._slot import HIDDEN_MULTIPLE, Cost, Group, Shape, Signature

CHANNEL_PART = "channel_part"
"""The choice between channel parts; its options are their names."""

DEFAULT_CHANNEL_PART = "mlp"
"""Of stages that offer no choice. Normalised picks leave it out."""

CHANNEL_DIMS = ("expand_ratio", CHANNEL_PART)
"""The choices that decide about the channel part of a mixer's slot."""


class AbstractChannelPart(ABC):
    """What may be pruned of a channel part, and what it costs."""

    @abstractmethod
    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """What sparsity may remove, "hidden" for example: all that "expand_ratio" decides about.

        Groups grow with it and with the width. No mixer has groups of these names.
        """

    @abstractmethod
    def cost(self, signature: Signature) -> Cost:
        """Cost of norm and layers, not of the shortcut, for realised sizes `signature.kept`."""


class AbstractExpansion(AbstractChannelPart):
    """A channel part with as many hidden channels as its width times the expansion."""

    def groups(self, pick: Options, shape: Shape) -> dict[str, Group]:
        """Hidden channels."""
        return {"hidden": Group(pick.number("expand_ratio") * shape.width, HIDDEN_MULTIPLE)}


CHANNEL_PARTS = Registry("search_spaces.channel_parts", "channel part", AbstractChannelPart)


def channel_part_name(pick: Options) -> str:
    """The channel part of a mixer's slot."""
    return str(pick.get(CHANNEL_PART, DEFAULT_CHANNEL_PART))


def channel_part_of(pick: Options) -> AbstractChannelPart:
    """The declaration of the channel part of a mixer's slot."""
    return _channel_part(CHANNEL_PARTS.get(channel_part_name(pick)))


@cache
def _channel_part(cls: type) -> AbstractChannelPart:
    part = cls()
    assert isinstance(part, AbstractChannelPart)
    return part


def channel_pick(pick: Options, shape: Shape) -> dict[str, Option]:
    """What a normalised pick says of the channel part: the least expansion with the same groups."""
    part, ratio = channel_part_of(pick), pick.number("expand_ratio")
    groups = part.groups(pick, shape)
    while ratio > 1 and part.groups(Options({"expand_ratio": ratio - 1}), shape) == groups:
        ratio -= 1
    named: dict[str, Option] = {"expand_ratio": ratio}
    if (name := channel_part_name(pick)) != DEFAULT_CHANNEL_PART:
        named[CHANNEL_PART] = name
    return named
