"""A process group: who is in it, how its processes find each other, and how they talk.

Processes are started by torchrun, which says in the environment how they find each other, or by us,
with a `Seat` for each. What is said goes over gloo; rank 0 speaks, or everybody does.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import torch.distributed as dist

from search_spaces import UserError
from supernets.device import kind_of

WAITS = timedelta(days=30)
"""Between two trainings rank 0 searches for as long as it likes."""

LOOPBACK = "127.0.0.1"
LOOPBACK_INTERFACES = {"lo", "lo0"}
"""Of Linux and macOS."""

INTERFACE = "GLOO_SOCKET_IFNAME"
"""Variable of the environment that says over which network interface gloo speaks."""

GLOO = "gloo"

_hosts: list[str] = []
"""The machine of every process, while this one is in a group."""


class Seat(NamedTuple):
    """A process's place in a group that we start.

    Attributes:
        rank: Its number.
        num_ranks: How many there are.
        store: Where they find each other: a file that all can write, or HOST:PORT of rank 0's.
        host: `LOOPBACK` if all are on one machine, whose network then sees nothing of them.
        device: Number of its device, among those of the kind that it sees.
    """

    rank: int
    num_ranks: int
    store: str
    host: str
    device: int


class RankDiedError(UserError):
    """Another process of the group has ended."""

    def __init__(self, error: object) -> None:
        super().__init__(
            "a process that shares the steps of training with this one has ended, perhaps for lack "
            f"of memory ({str(error).splitlines()[0]:.120}). What was recorded is whole: the same "
            "command continues."
        )


def rank() -> int:
    """The number of this process."""
    return dist.get_rank()


def is_commanding() -> bool:
    """Whether others wait for this process to tell them what to train."""
    return bool(_hosts) and dist.get_rank() == 0


def num_ranks() -> int:
    """Processes of the group; 1 without one."""
    return max(1, len(_hosts))


def num_ranks_here() -> int:
    """Those of them on this machine."""
    return max(1, _hosts.count(socket.gethostname()))


def num_machines() -> int:
    """That they are on."""
    return max(1, len(set(_hosts)))


@contextmanager
def joined(seat: Seat | None, store: dist.Store | None = None) -> Iterator[None]:
    """In this context this process is in the group.

    Args:
        seat: Its place; None in a group that torchrun has started.
        store: The one that the seat names, where this process holds it.

    Raises:
        UserError: If the processes cannot reach each other.
    """
    try:
        if seat is None:
            dist.init_process_group(GLOO, timeout=WAITS)
        else:
            with _interface(seat.host):
                dist.init_process_group(
                    GLOO,
                    timeout=WAITS,
                    store=store or _store_of(seat),
                    rank=seat.rank,
                    world_size=seat.num_ranks,
                )
    except (ValueError, RuntimeError) as error:
        how = "" if seat else " See torchrun's --rdzv-endpoint and --master-addr."
        raise UserError(
            "the processes that are to share the steps of training cannot reach each other: "
            f"{str(error).splitlines()[0]:.200}.{how}"
        ) from error
    try:
        _hosts[:] = all_say(socket.gethostname())
        yield
    finally:
        _hosts.clear()
        dist.destroy_process_group()


def group_of(device: str) -> Any:
    """Of tensors on the ranks' devices; every rank makes it at the same time."""
    backend = dist.get_default_backend_for_device(kind_of(device))
    return None if backend == GLOO else dist.new_group(backend=backend, timeout=WAITS)


def tell(message: Any) -> None:
    """Rank 0's word to all others."""
    with others():
        dist.broadcast_object_list([message], 0)


def told() -> Any:
    """What rank 0 says."""
    heard: list[Any] = [None]
    with others():
        dist.broadcast_object_list(heard, 0)
    return heard[0]


def all_say(own: Any) -> list[Any]:
    """What every rank says, in their order."""
    everybody: list[Any] = [None] * dist.get_world_size()
    with others():
        dist.all_gather_object(everybody, own)
    return everybody


@contextmanager
def others() -> Iterator[None]:
    """A collective fails where another process has ended.

    Raises:
        RankDiedError: Then.
    """
    try:
        yield
    except RuntimeError as error:
        raise RankDiedError(error) from error


def _store_of(seat: Seat) -> dist.Store:
    host, colon, port = seat.store.rpartition(":")
    if colon and port.isdigit():
        return dist.TCPStore(host, int(port), seat.num_ranks, is_master=False)
    return dist.FileStore(seat.store, seat.num_ranks)


@contextmanager
def _interface(host: str) -> Iterator[None]:
    """In this context gloo speaks over loopback, if the host is there; else as the user says."""
    names = {name for _, name in socket.if_nameindex()} & LOOPBACK_INTERFACES
    if host != LOOPBACK or not names or INTERFACE in os.environ:
        yield
        return
    os.environ[INTERFACE] = names.pop()
    try:
        yield
    finally:
        del os.environ[INTERFACE]
