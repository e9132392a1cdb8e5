"""The contract of a channel attention's implementation, and how blocks have one."""

from abc import abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from search_spaces import Options, Registry, Signature, stem_of
from search_spaces._sides import Sides
from search_spaces.channel_attentions._base import ECA, attention_sizes
from supernets._elastic import KERNEL, AbstractElasticPart, Index


class AbstractChannelAttentionLayer(AbstractElasticPart):
    """A module that scales a map. Its `axes` have the roles of `attention_roles`.

    Args:
        channels: Of the map.
        size: As its declaration says.
        sides: Height and width of the map, of which no weight depends.
    """

    @abstractmethod
    def __init__(self, channels: int, size: int, sides: Sides) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The shape that came in."""


CHANNEL_ATTENTION_LAYERS = Registry(
    "supernets.channel_attentions",
    "implementation of a channel attention",
    AbstractChannelAttentionLayer,
)


def add_attentions(block: nn.Module, channels: int, signature: Signature) -> dict[str, str]:
    """Gives a plain block the channel attentions of its pick.

    Several only if it holds the shared weights of several members; it then does not run.

    Returns:
        By name, which submodule each is. `eca` is "attention", others are "attention_NAME".
    """
    places = {}
    for name, size in attention_sizes(signature.pick).items():
        places[name] = "attention" if name == ECA else f"attention_{stem_of(name)}"
        layer = CHANNEL_ATTENTION_LAYERS.get(name)(channels, size, signature.shape.size)
        block.add_module(places[name], layer)
    return places


def attention_roles(names: Iterable[str], channels: Index, pick: Options) -> dict[str, Index]:
    """How much a pick uses of each role of these channel attentions: nothing of those it lacks.

    Of every name, "channels_NAME" are the map's channels, and "size_NAME" is the size; so is
    "kernel_NAME", which is sliced around its centre.
    """
    roles: dict[str, Index] = {}
    for name in names:
        size = int(pick.get(name, 0))
        roles[f"channels_{name}"] = channels if size else 0
        roles[f"size_{name}"] = roles[f"{KERNEL}_{name}"] = size
    return roles
