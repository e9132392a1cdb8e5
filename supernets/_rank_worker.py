"""Processes on this machine that share the steps of a supernet's training with this one.

They are the workers of `supernets/_worker.py`, each of which serves as one rank of
`supernets/ranks.py`: so they start in a moment, hear of no Ctrl-C, and end with whoever started
them. That one is rank 0, and remains the command as the user knows it.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from supernets._group import LOOPBACK, RankDiedError, Seat
from supernets._worker import Worker, is_orphan
from supernets.ranks import commanding, serve

IS_THERE, SERVES = "is there", "serves"
LOOKED_FOR_EVERY_S = 1.0
ENDED_WITHIN_S = 3.0
"""After which a process that has lost its group looks whether rank 0 is there."""

COMMAND_DIED = (
    "nas: the process that commanded this one has been ended. What was recorded is whole: the same "
    "command continues."
)


@contextmanager
def ranks_here(num: int) -> Iterator[None]:
    """In this context this process is rank 0 of so many on this machine, one for each device.

    Args:
        num: With this one.

    Raises:
        WorkerDiedError: If one of them ends before it begins.
    """
    with tempfile.TemporaryDirectory(prefix="nas-", ignore_cleanup_errors=True) as folder:
        store = str(Path(folder, "ranks"))
        seats = [Seat(rank, num, store, LOOPBACK, device=rank) for rank in range(num)]
        with ExitStack() as stack:
            workers = [stack.enter_context(closing(Worker(_Serving(seat)))) for seat in seats[1:]]
            for worker in workers:
                worker.send(IS_THERE)
            for worker in workers:  # to connect is to wait for all of them, however long
                worker.receive()
            for worker in workers:
                worker.send(SERVES)
            stack.enter_context(commanding(seats[0]))
            yield


@dataclass(frozen=True)
class _Serving:
    """What one of them does: says that it is there, then computes for rank 0 until that ends."""

    seat: Seat

    def __call__(self, message: str) -> None:
        if message == IS_THERE:
            return
        threading.Thread(target=_end_with_command, daemon=True).start()
        try:
            serve(self.seat)
        except RankDiedError:
            if self.seat.rank == 1 and _is_commands_end():
                print(COMMAND_DIED, file=sys.stderr, flush=True)
            raise


def _is_commands_end() -> bool:
    """Whether rank 0 has been ended; if not, it is another rank that has, and rank 0 says so."""
    until = time.monotonic() + ENDED_WITHIN_S
    while not (found := is_orphan()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def _end_with_command() -> None:
    """Ends this process with rank 0: what waits for an accelerator cannot be interrupted."""
    while not is_orphan():
        time.sleep(LOOKED_FOR_EVERY_S)
    time.sleep(ENDED_WITHIN_S)  # in which others end by themselves
    os._exit(1)
