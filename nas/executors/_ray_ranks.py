"""Processes on nodes of a Ray cluster that share the steps of a supernet's training with this one.

Each is an actor, which serves as one rank of `supernets/ranks.py`; this process is rank 0. An actor
takes a core of its node while Ray looks for a place, and none afterwards: ranks sleep while files
are timed, for which a node is wanted whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from nas.executors import _cluster
from search_spaces import UserError
from supernets._group import Seat
from supernets.device import is_cpu, number_of

PLACED_WITHIN_S = 120.0
"""Nodes import torch first."""

SPREAD = "SPREAD"
"""Ray's word for one actor on each node, before there are two on any."""


class Place(NamedTuple):
    """Where a rank is: the node, and the numbers of the accelerators that Ray has given it."""

    node: str
    accelerators: tuple[str, ...]


class Rank:
    """A process that shares steps."""

    def place(self) -> Place:
        """Says where it is."""
        import ray

        numbers = map(str, ray.get_gpu_ids())
        return Place(ray.get_runtime_context().get_node_id(), tuple(numbers))

    def serve(self, seat: Seat) -> None:
        """Computes for rank 0 until that has ended."""
        from supernets.ranks import serve  # which imports torch

        serve(seat)


@contextmanager
def ranks_on(ray: Any, num: int, device: str) -> Iterator[None]:
    """In this context this process is rank 0 of so many, and the others are on nodes.

    Args:
        ray: Connected.
        num: With this one.
        device: That of this one.

    Raises:
        UserError: If Ray finds no place for them, or gives one the device of this process.
    """
    import torch.distributed as dist

    from supernets.ranks import commanding

    host = ray.util.get_node_ip_address()
    store = dist.TCPStore(host, 0, num, is_master=True, wait_for_workers=False)
    seats = [Seat(rank, num, f"{host}:{store.port}", host, device=0) for rank in range(num)]
    wanted = {} if is_cpu(device) else {"num_gpus": 1, "num_cpus": 0}
    actor = ray.remote(Rank).options(scheduling_strategy=SPREAD, max_restarts=0, **wanted)
    actors = [actor.remote() for _ in seats[1:]]
    try:
        mine = ray.get_runtime_context().get_node_id()
        _refuse_twice(Place(mine, (str(number_of(device)),)), _places(ray, actors), device)
        for one, seat in zip(actors, seats[1:], strict=True):
            one.serve.remote(seat)
        with commanding(seats[0], store):
            yield
    finally:
        for one in actors:
            ray.kill(one)


def _places(ray: Any, actors: Sequence[Any]) -> list[Place]:
    """Where they are, once all of them are somewhere.

    Raises:
        UserError: If that takes too long.
    """
    try:
        found: list[Place] = ray.get([a.place.remote() for a in actors], timeout=PLACED_WITHIN_S)
    except ray.exceptions.GetTimeoutError as error:
        raise UserError(
            f"the Ray cluster had no place for {len(actors)} more processes that train, within "
            f"{PLACED_WITHIN_S:.0f} s: others use its devices. Wait for them, or ask for fewer "
            "--devices."
        ) from error
    except ray.exceptions.RayTaskError as error:
        raise (_cluster.understood_failure(error) or error) from error
    except ray.exceptions.RayError as error:
        raise UserError(
            "a process that was to train on a node of the Ray cluster has ended: "
            f"{str(error).splitlines()[0]:.200} The same command continues."
        ) from error
    return found


def _refuse_twice(own: Place, others: Sequence[Place], device: str) -> None:
    """Refuse that another process computes on this one's accelerator, of which Ray knows nothing.

    Raises:
        UserError: If one does.
    """
    beside = [place for place in others if place.node == own.node]
    if not is_cpu(device) and any(own.accelerators == place.accelerators for place in beside):
        number = own.accelerators[0]
        raise UserError(
            f"Ray has given another process {device}, on which this one trains. Start Ray on this "
            f"machine without it: CUDA_VISIBLE_DEVICES=... ray start, naming all but {number}."
        )
