"""Multiply-adds of a supernet's training: those of forward passes of members.

Backward passes take twice as many for all, and are not counted; neither is what else is computed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, final

import numpy as np
from torch import nn

from search_spaces import signature_cost
from supernets.images import Images
from supernets.supernet import ElasticSlot
from supernets.team import AbstractBatches, Losses, State

MACS = "benchmark_macs"


@final
@dataclass(frozen=True)
class Counted(AbstractBatches):
    """Batches whose members' multiply-adds are summed up in what they keep.

    Attributes:
        batches: What is counted.
    """

    batches: AbstractBatches

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Theirs."""
        return self.batches.networks

    @property
    def average(self) -> nn.Module | None:
        """Theirs."""
        return self.batches.average

    def averaging(self, network: nn.Module) -> Self:
        """With batches that have it."""
        return replace(self, batches=self.batches.averaging(network))

    def on(self, device: str) -> Self:
        """With the batches there."""
        return replace(self, batches=self.batches.on(device))

    def initial_state(self) -> State:
        """Theirs, and no multiply-adds."""
        return {**self.batches.initial_state(), MACS: np.zeros(1)}

    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        """As they do, and how many multiply-adds that took."""
        with counting(network, *self.networks) as macs:
            losses, report = self.batches(network, images, turn, without_macs(state))
        return losses, {**report, MACS: np.array([sum(macs)])}

    def fold(self, state: State, reports: Sequence[State]) -> State:
        """As they do, and the sum."""
        kept = self.batches.fold(without_macs(state), [without_macs(report) for report in reports])
        return {**kept, MACS: state[MACS] + sum(report[MACS] for report in reports)}


def without_macs(state: State) -> State:
    """What the batches themselves keep or report."""
    return {name: array for name, array in state.items() if name != MACS}


@contextmanager
def counting(*networks: nn.Module) -> Iterator[list[float]]:
    """Multiply-adds of each slot that supernets compute in this context."""
    found: list[float] = []

    def count(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        x_BCHW, signature = arguments
        found.append(float(len(x_BCHW) * signature_cost(signature).macs))

    slots = [m for network in networks for m in network.modules() if isinstance(m, ElasticSlot)]
    handles = [slot.register_forward_pre_hook(count) for slot in slots]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
