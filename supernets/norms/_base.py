"""The contract of a norm's implementation: the modules behind a convolution."""

from abc import ABC, abstractmethod

from torch import nn

from search_spaces import Registry


class AbstractNormLayers(ABC):
    """Makes the modules. Plug-ins have no state."""

    @abstractmethod
    def norm(self, width: int) -> nn.Module:
        """Normalises (B, width, H, W).

        If the declaration says so, it is `nn.BatchNorm2d`, or has statistics of the batch and is
        an `AbstractBatchStatistics`.

        Of its state, tensors with one axis have an entry per channel, of which members take theirs;
        others are not shared.
        """

    @abstractmethod
    def act(self) -> nn.Module:
        """The activation behind it, without state; `nn.Identity` if the norm is both."""


NORM_LAYERS = Registry("supernets.norms", "implementation of a norm", AbstractNormLayers)
