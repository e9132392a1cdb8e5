"""No channel attention."""

from typing import final

from search_spaces._slot import Cost
from search_spaces.channel_attentions._base import CHANNEL_ATTENTIONS, AbstractChannelAttention


@final
@CHANNEL_ATTENTIONS.register
class NoAttention(AbstractChannelAttention):
    """All gates are 1."""

    def size(self, channels: int) -> int:
        """None."""
        return 0

    def cost(self, n: int, channels: int, size: int) -> Cost:
        """Nothing."""
        return Cost()
