"""Numbers that other parameters make, the same for all inputs: kernels, biases, tables.

While it is trained, such a module makes them anew in every call; deployed, they are stored
(`supernets/_merged.py`). What reads them is another module, the same in both.
"""

from abc import abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from supernets._merged import AbstractMerged


@final
class Stored(nn.Module):
    """Numbers as they are."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values)

    def forward(self) -> Tensor:
        """These."""
        return self.values


class AbstractGenerated(nn.Module, AbstractMerged):
    """What is called with nothing and gives numbers that its parameters make."""

    @abstractmethod
    def forward(self) -> Tensor:
        """The numbers."""

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The numbers as they are now."""
        return Stored(self().contiguous().clone())
