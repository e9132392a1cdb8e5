"""The contract of a likeness. Shapes: B batch, C channels, H W space."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from torch import Tensor, nn

Recorded = TypeVar("Recorded")
"""What a likeness keeps of a network while that computes."""


class AbstractLikeness(ABC, Generic[Recorded]):
    """A loss between what two networks make of the same images; goes to other processes by pickle.

    Attributes:
        guide: The network that guides, in evaluation mode; it gets no gradients.
    """

    guide: nn.Module

    @abstractmethod
    def recording(self, network: nn.Module) -> AbstractContextManager[Recorded]:
        """A context in which what a network makes is kept, in what the context gives.

        Args:
            network: Which computes in it once.
        """

    @abstractmethod
    def __call__(self, network: nn.Module, recorded: Recorded, images_BCHW: Tensor) -> Tensor:
        """The loss, a scalar with gradients.

        Args:
            network: That learns.
            recorded: Of it.
            images_BCHW: Which it has seen.
        """
