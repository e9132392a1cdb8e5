"""Processes that share the batches of a step.

Every optimizer step adds up the gradients of `shards` batches, whoever computes them: each batch
has its own images, members and batch-norm statistics, and the sum is taken in the order of the
batches. What is learnt therefore does not depend on the number of processes, and training continues
with another number. Weights and gradients lie in memory that all processes share; the first process
steps the optimizer while the others wait asleep at a pipe. What batches keep from step to step goes
to the others with the number of a batch, and its next value is made in the first process, from what
all batches of a step report.

Processes of one thread each are faster than threads of one process: small operators give a thread
little to do between two barriers (`docs/decisions/0024`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from supernets._worker import Worker
from supernets.device import is_cpu
from supernets.images import Images

Losses = list[tuple[str, float]]
"""Who was trained, and its loss."""


State = Mapping[str, np.ndarray]
"""Named arrays that live from step to step; small, because every batch is sent them."""


class AbstractBatches(ABC):
    """What batches teach a network, and what they keep from step to step."""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """Those besides the trained one that batches compute with; they go to its device, too."""
        return ()

    @property
    def average(self) -> nn.Module | None:
        """The network whose weights are the average of the trained one's; None if none is asked."""
        return None

    def averaging(self, network: nn.Module) -> Self:
        """The same, with an average that begins as this network, if batches ask one."""
        return self

    def on(self, device: str) -> Self:
        """The same on another device."""
        return self

    def initial_state(self) -> State:
        """What is kept before the first step."""
        return {}

    @abstractmethod
    def __call__(
        self, network: nn.Module, images: Images, turn: int, state: State
    ) -> tuple[Losses, State]:
        """Adds the gradients of a batch to the network's parameters; a function of the arguments.

        Args:
            network: In training mode; other processes may be computing with its weights.
            images: To train on.
            turn: Number of the batch.
            state: As the steps before have left it.

        Returns:
            The losses, and what the batch reports to `fold`.
        """

    def fold(self, state: State, reports: Sequence[State]) -> State:
        """What is kept after a step; a pure function.

        Args:
            state: Before the step.
            reports: Of the step's batches, in the order of their numbers.

        Returns:
            Arrays of the same names, shapes and types as before.
        """
        return state


class Team:
    """This process, and others that compute gradients for it; a context manager.

    Args:
        network: In training mode. While the team exists its weights are shared memory.
        images: To train on.
        batches: What each batch teaches; goes to the other processes by pickle.
        processes: How many, with this one.
        threads: Of each process; 0 for as many as this one has.
    """

    def __init__(
        self,
        network: nn.Module,
        images: Images,
        batches: AbstractBatches,
        *,
        processes: int = 1,
        threads: int = 0,
    ) -> None:
        is_shared = all(is_cpu(parameter.device.type) for parameter in network.parameters())
        assert processes == 1 or is_shared, "processes share the memory of the CPU alone"
        self._network, self._images, self._batches = network, images, batches
        self._moving = moving(network, batches)
        self._processes, self._threads = processes, threads or torch.get_num_threads()
        self._threads_before = torch.get_num_threads()
        self._workers: list[Worker] = []
        self._gradients: list[list[Tensor]] = []

    def __enter__(self) -> Self:
        torch.set_num_threads(self._threads)
        if self._processes > 1:
            share(*self._moving)
        parameters = list(self._network.parameters())
        for _ in range(self._processes - 1):
            flat = torch.zeros(sum(p.numel() for p in parameters)).share_memory_()
            self._gradients.append(views(flat, parameters))
            member = _Member(self._network, self._images, self._batches, flat, self._threads)
            self._workers.append(Worker(member))
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._workers:
            worker.close()
        if self._processes > 1:
            unshare(*self._moving)
        torch.set_num_threads(self._threads_before)

    def add_gradients(self, turns: Sequence[int], state: State) -> tuple[Losses, State]:
        """Leaves the mean gradient of some batches in the network's parameters.

        Args:
            turns: Their numbers.
            state: What the batches keep.

        Returns:
            Their losses, and what they keep from now on.

        Raises:
            WorkerDiedError: If a process has ended.
        """
        parameters = list(self._network.parameters())
        totals: list[Tensor | None] = [None] * len(parameters)
        losses: Losses = []
        reports: list[State] = []
        for first in range(0, len(turns), self._processes):
            own, *others = turns[first : first + self._processes]
            for worker, turn in zip(self._workers, others, strict=False):
                worker.send((turn, state))
            self._network.zero_grad(set_to_none=True)
            found, report = self._batches(self._network, self._images, own, state)
            losses += found
            reports.append(report)
            _add(totals, [parameter.grad for parameter in parameters])
            for number in range(len(others)):
                found, report, has_gradient = self._workers[number].receive()
                losses += found
                reports.append(report)
                shared = zip(self._gradients[number], has_gradient, strict=True)
                _add(totals, [gradient if has else None for gradient, has in shared])
        for parameter, total in zip(parameters, totals, strict=True):
            parameter.grad = None if total is None else total.div_(len(turns))
        return losses, self._batches.fold(state, reports)


@dataclass
class _Member:
    """What another process does: gradients of the batches whose numbers it is told."""

    network: nn.Module
    images: Images
    batches: AbstractBatches
    gradients: Tensor
    threads: int

    def __call__(self, batch: tuple[int, State]) -> tuple[Losses, State, list[bool]]:
        turn, state = batch
        torch.set_num_threads(self.threads)
        parameters = list(self.network.parameters())
        self.network.zero_grad(set_to_none=True)
        losses, report = self.batches(self.network, self.images, turn, state)
        for gradient, parameter in zip(views(self.gradients, parameters), parameters, strict=True):
            if parameter.grad is not None:
                gradient.copy_(parameter.grad)
        return losses, report, [parameter.grad is not None for parameter in parameters]


def moving(network: nn.Module, batches: AbstractBatches) -> tuple[nn.Module, ...]:
    """What a step changes: the trained network, and its average if batches ask it."""
    return (network,) if batches.average is None else (network, batches.average)


def share(*networks: nn.Module) -> None:
    """Moves parameters and floating-point buffers into one piece of shared memory, in place."""
    tensors = tensors_of(*networks)
    flat = torch.empty(sum(t.numel() for t in tensors)).share_memory_()
    for tensor, view in zip(tensors, views(flat, tensors), strict=True):
        view.copy_(tensor.data)
        tensor.data = view


def unshare(*networks: nn.Module) -> None:
    """Gives every tensor memory of its own again."""
    for tensor in tensors_of(*networks):
        tensor.data = tensor.data.clone(memory_format=torch.preserve_format)


@contextmanager
def shared(network: nn.Module) -> Iterator[None]:
    """In this context other processes may be given the network; it has one piece of memory."""
    share(network)
    try:
        yield
    finally:
        unshare(network)


def views(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Successive parts of a flat tensor, shaped and laid out like others."""
    found, offset = [], 0
    for tensor in like:
        part = flat[offset : offset + tensor.numel()]
        found.append(part.as_strided(tensor.shape, tensor.stride(), part.storage_offset()))
        offset += tensor.numel()
    return found


def tensors_of(*networks: nn.Module) -> list[Tensor]:
    """Parameters, and floating-point buffers that are stored: all that changes in training.

    What several networks share is there once.
    """
    found: list[Tensor] = []
    for network in networks:
        stored = network.state_dict(keep_vars=True)  # other buffers never change
        floating = (b for n, b in network.named_buffers() if n in stored and b.is_floating_point())
        found += [*network.parameters(), *floating]
    return list(dict.fromkeys(found))


def _add(totals: list[Tensor | None], gradients: Sequence[Tensor | None]) -> None:
    """Adds what there is; a first gradient is copied."""
    for i, gradient in enumerate(gradients):
        if gradient is None:
            continue
        total = totals[i]
        if total is None:
            totals[i] = gradient.clone()
        else:
            total.add_(gradient)
