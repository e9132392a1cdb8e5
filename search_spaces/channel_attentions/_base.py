"""The contract of a channel attention's declaration.

A *channel attention* multiplies every channel of a map by a gate that the whole map decides; some
multiply positions by gates of their own, too. Blocks read it as the dimension "channel_attention"
and share all other weights, whichever it is. `supernets/channel_attentions/` has the
implementations, under the same names.
"""

from abc import ABC, abstractmethod

from search_spaces._choice import Option, Options
from search_spaces._registry import Registry
from search_spaces._slot import Cost

CHANNEL_ATTENTION = "channel_attention"
"""The dimension of blocks whose options are channel attentions."""

NO_ATTENTION = "none"
"""Of stages that offer no choice. Normalised picks leave it out."""

ECA = "eca"
"""Which `mbconv` also reads as a dimension of numbers, 0 or 1."""


class AbstractChannelAttention(ABC):
    """How large a channel attention is, and what it costs. Plug-ins have no state."""

    @abstractmethod
    def size(self, channels: int) -> int:
        """What its weights have besides channels, such as the side of a kernel; 1 if nothing.

        Args:
            channels: Of the map before pruning, which leaves the size alone.
        """

    @abstractmethod
    def cost(self, n: int, channels: int, size: int) -> Cost:
        """Of one application to so many channels at `n` positions."""


CHANNEL_ATTENTIONS = Registry(
    "search_spaces.channel_attentions", "channel attention", AbstractChannelAttention
)


def attention_name(pick: Options) -> str:
    """The channel attention of a block's pick, normalised or not."""
    name = str(pick.get(CHANNEL_ATTENTION, NO_ATTENTION))
    return ECA if name == NO_ATTENTION and pick.get(ECA) else name


def normalised_attention(pick: Options, channels: int) -> dict[str, Option]:
    """What a normalised pick says of it: its name, and its size under that name; nothing of none.

    So the largest of several picks has the sizes of all that they have.
    """
    name = attention_name(pick)
    if name == NO_ATTENTION:
        return {}
    return {CHANNEL_ATTENTION: name, name: _declared(name).size(channels)}


def attention_sizes(pick: Options) -> dict[str, int]:
    """Sizes of a normalised pick's channel attentions: of one, but in the largest of several."""
    return {name: pick.number(name) for name in CHANNEL_ATTENTIONS.names() if pick.get(name)}


def attention_cost(pick: Options, n: int, channels: int) -> Cost:
    """Of the channel attention of a normalised pick."""
    name = attention_name(pick)
    if name == NO_ATTENTION:
        return Cost()
    return _declared(name).cost(n, channels, pick.number(name))


def _declared(name: str) -> AbstractChannelAttention:
    found = CHANNEL_ATTENTIONS.get(name)()
    assert isinstance(found, AbstractChannelAttention)
    return found
