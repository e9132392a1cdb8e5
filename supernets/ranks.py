"""Processes that share the batches of a step over a process group, a device for each.

Rank 0 is the command as the user knows it: it searches, measures and writes. The others wait; for
the time of a training they are given its network, images and batches, and then compute gradients
for rank 0. Before a step they get its weights, after it gradients are added up, and rank 0 steps
the optimizer. A step is its batches, whoever computes them, so a training that began with one
number of processes continues with another. Sums come in another order, so weights agree to rounding
only; processes of one machine's CPU alone agree exactly (`supernets/team.py`).

Who is in the group is for `supernets/_group.py` to say. Tensors go by the devices' own backend.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import nn

from search_spaces import load_plugin_texts, loaded_plugins
from supernets._group import (
    RankDiedError,
    Seat,
    all_say,
    group_of,
    is_commanding,
    joined,
    num_ranks_here,
    others,
    rank,
    tell,
    told,
)
from supernets.device import CPU, at_work, computing, is_cpu, local_rank, numbered, take
from supernets.images import Images
from supernets.team import AbstractBatches, Losses, State, Team, moving, tensors_of

Found = Mapping[int, tuple[Losses, State]] | Exception
"""Losses and reports of a rank's batches, by their numbers; or what has gone wrong there."""


@dataclass(frozen=True)
class Training:
    """What a rank computes with.

    Attributes:
        network: In training mode.
        images: To train on.
        batches: What each batch teaches.
        device: Where.
        precision: Of the plan.
        threads: Of each process.
    """

    network: nn.Module
    images: Images
    batches: AbstractBatches
    device: str
    precision: str
    threads: int


@contextmanager
def commanding(
    seat: Seat | None = None, store: dist.Store | None = None, *, threads: int = 0
) -> Iterator[None]:
    """In this context this process is rank 0 of a group.

    Args:
        seat: In the group; None in one that torchrun has started.
        store: The one that the seat names, where this process holds it.
        threads: Of this process while it does not train, because the others sleep then and
            torchrun gives each one; 0 for as many as it has.

    Raises:
        UserError: If the processes cannot reach each other.
    """
    with joined(seat, store):
        if threads:
            torch.set_num_threads(threads)
        try:
            yield
        except KeyboardInterrupt:
            raise  # there is nobody to tell: whoever has started the others ends them
        except BaseException:
            _let_go()
            raise
        _let_go()


def serve(seat: Seat | None = None) -> None:
    """Computes gradients for rank 0 until that has ended: what other ranks do instead of a command.

    Args:
        seat: In the group; None in one that torchrun has started.

    Raises:
        UserError: If another process has ended without a word, or they cannot reach each other.
    """
    number = local_rank() if seat is None else seat.device
    with joined(seat):
        while (heard := told()) is not None:
            plugins, training = heard
            load_plugin_texts([plugin for plugin in plugins if plugin not in loaded_plugins()])
            device = numbered(training.device, number)
            _serve(replace(training, device=device, batches=training.batches.on(device)))


class Ranks:
    """The group in a training; a context manager that is used as a `Team` is.

    Args:
        training: The network is on this rank's device.
    """

    def __init__(self, training: Training) -> None:
        self._training = training

    def __enter__(self) -> Self:
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(self._training.threads)
        tell((loaded_plugins(), _at_home(self._training)))
        self._group = group_of(self._training.device)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        torch.set_num_threads(self._threads_before)
        if kind is None:
            tell(None)
        elif issubclass(kind, Exception):
            _let_go()

    def add_gradients(self, turns: Sequence[int], state: State) -> tuple[Losses, State]:
        """Leaves the mean gradient of some batches in the network's parameters; see `Team`.

        Raises:
            RankDiedError: If a process has ended.
            Exception: What has gone wrong in another one.
        """
        tell((turns, state))
        training = self._training
        by_turn = _step(training, turns, state, self._group)
        losses = [loss for turn in turns for loss in by_turn[turn][0]]
        return losses, training.batches.fold(state, [by_turn[turn][1] for turn in turns])


def team_of(training: Training, *, processes: int) -> Team | Ranks:
    """Who computes the batches of its steps: ranks, if there are some and it is shared at all."""
    if processes > 1 and is_commanding():
        return Ranks(training)
    network, images, batches = training.network, training.images, training.batches
    return Team(network, images, batches, processes=processes, threads=training.threads)


def _let_go() -> None:
    """Tells others that this is over, if they are there to hear it."""
    with suppress(RankDiedError):
        tell(None)


def _serve(training: Training) -> None:
    """One training in another rank than 0, until it has ended."""
    own = max(1, (os.cpu_count() or 1) // num_ranks_here())  # another machine may have fewer
    torch.set_num_threads(min(own, training.threads))
    group = group_of(training.device)
    with (
        at_work(training.device, training.network, *training.batches.networks),
        computing(training.device, training.precision),
    ):
        while (heard := told()) is not None:
            turns, state = heard
            _step(training, turns, state, group)


def _step(
    training: Training, turns: Sequence[int], state: State, group: Any
) -> Mapping[int, tuple[Losses, State]]:
    """Every rank's part of a step; what all of them found.

    Raises:
        RankDiedError: If a process has ended.
        Exception: In rank 0, what has gone wrong in any of them.
    """
    network = training.network
    _share_weights(moving(network, training.batches), group)
    everybody: list[Found] = all_say(_computed(training, turns, state))
    by_turn: dict[int, tuple[Losses, State]] = {}
    for found in everybody:
        if isinstance(found, Exception):
            if rank():
                return {}  # it is rank 0's to say
            raise found
        by_turn |= found
    _add_up(network, len(turns), group)
    return by_turn


def _computed(training: Training, turns: Sequence[int], state: State) -> Found:
    """This rank's batches, whose gradients are added up in the network."""
    training.network.zero_grad(set_to_none=True)
    own = turns[rank() :: dist.get_world_size()]
    try:
        return {
            turn: training.batches(training.network, training.images, turn, state) for turn in own
        }
    except Exception as error:  # all ranks have to leave the step
        return error


def _share_weights(networks: Sequence[nn.Module], group: Any) -> None:
    """Gives all ranks the weights of rank 0."""
    tensors = [tensor.data for tensor in tensors_of(*networks)]
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with others():
        dist.broadcast(flat, 0, group=group)
    if rank():
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))


def _add_up(network: nn.Module, num_turns: int, group: Any) -> None:
    """Leaves the mean gradient in the parameters; None where no batch of any rank has one."""
    parameters = list(network.parameters())
    has_gradient = [float(parameter.grad is not None) for parameter in parameters]
    flat = torch.cat(
        [
            *((p if p.grad is None else p.grad).detach().reshape(-1) for p in parameters),
            parameters[0].new_tensor(has_gradient),
        ]
    )
    sizes = [*(parameter.numel() for parameter in parameters), len(parameters)]
    for part, has in zip(flat.split(sizes), has_gradient, strict=False):
        if not has:
            part.zero_()
    with others():
        dist.all_reduce(flat, group=group)
    *gradients, counts = flat.split(sizes)
    for parameter, gradient, count in zip(parameters, gradients, counts.tolist(), strict=True):
        parameter.grad = None
        if count:
            mean = gradient.view(parameter.shape).div_(num_turns)
            parameter.grad = torch.empty_like(parameter).copy_(mean)


def _at_home(training: Training) -> Training:
    """As it goes to other ranks: on the CPU."""
    if is_cpu(training.device):
        return training
    network, batches = deepcopy((training.network, training.batches))
    take(CPU, network, *batches.networks)
    return replace(training, network=network, batches=batches)
