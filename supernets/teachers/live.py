"""A teacher that is a network: a member of the supernet, one that was brought, or a file.

Shapes: B batch, C channels, H W space, K outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from supernets.teachers._base import AbstractTeacher, Asked


@final
@dataclass(frozen=True)
class LiveTeacher(AbstractTeacher):
    """A network that answers for every batch anew.

    Attributes:
        network: From normalised images (B, C, H, W) to outputs (B, K).
    """

    network: Callable[[Tensor], Tensor]

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The network, if it is a module."""
        return (self.network,) if isinstance(self.network, nn.Module) else ()

    def __call__(self, asked: Asked) -> Tensor:
        """What the network says of these images."""
        return self.network(asked.images_BCHW)
