"""Fresh processes that work for this one."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from search_spaces import PluginFile, UserError, load_plugin_texts, loaded_plugins
from supernets._search_path import search_path

STARTED_BY_CHECKED_S = 5.0
TIDIED_UP_S = 2.0
IMPORTED_BEFORE = ["supernets.steps", "supernets.supernet", "torch._dynamo"]
"""By the process that all workers are forks of; the last one by every first optimizer, for 2 s."""


class WorkerDiedError(UserError):
    """A process that shared the work has ended, with this exit code (None if not known)."""

    def __init__(self, code: int | None) -> None:
        super().__init__(
            f"a process that works for this one has ended with code {code}, perhaps for lack of "
            "memory. What was recorded is whole: the same command continues."
        )
        self.code = code


class Worker:
    """A process that answers messages, one after the other; it ends with whoever started it.

    It is given this one's plug-in files first; if one fails there, that is the answer to all.

    Args:
        work: Called in the process with every message; goes there by pickle, tensors in shared
            memory.
    """

    def __init__(self, work: Callable[[Any], Any]) -> None:
        context = _context()
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        is_fork = context.get_start_method() == "forkserver"
        # A fork ignores Ctrl-C as its parent does, and starting it may take seconds, in which we
        # must not.
        with contextlib.nullcontext() if is_fork else _without_interrupts(), _apart():
            self._process.start()
        there.close()
        self._unanswered = -2  # these two have no answer
        # NOTE: not as arguments, whose pipe blocks for ever if the process ends early.
        self.send(loaded_plugins())
        self.send(work)

    def send(self, message: Any) -> None:
        """Hands over a message; `receive` waits for its answer.

        Raises:
            WorkerDiedError: If the process has ended.
        """
        self._unanswered += 1
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._died() from error

    def receive(self) -> Any:
        """The answer to a message.

        Raises:
            WorkerDiedError: If the process has ended.
            Exception: What the work raised.
        """
        try:
            if self._pipe not in wait([self._pipe, self._process.sentinel]):
                raise EOFError
            is_answer, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        self._unanswered -= 1
        if not is_answer:
            raise answer
        return answer

    def close(self) -> None:
        """Ends the process: at once if it is at work, else by its own end, which tidies up."""
        self._pipe.close()
        if not self._unanswered:
            self._process.join(TIDIED_UP_S)
        self._process.kill()
        self._process.join()

    def _died(self) -> WorkerDiedError:
        self._process.join(timeout=1)
        return WorkerDiedError(self._process.exitcode)


@cache
def _context() -> Any:
    """How processes start: as forks of one that has imported torch, where the system has forks.

    A process by itself imports for seconds. That one has no threads of torch yet, and no weights.
    """
    has_server = import_ahead()
    import torch.multiprocessing  # which takes seconds

    return torch.multiprocessing.get_context("forkserver" if has_server else "spawn")


@cache
def import_ahead() -> bool:
    """Has the process that workers are forks of import now, while this one does other things.

    Returns:
        Whether there is such a process.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return False
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload(IMPORTED_BEFORE)
    try:
        with _without_interrupts(), _apart():
            forkserver.ensure_running()
    except OSError:  # its socket's path is too long, or the folder for temporary files is full
        return False
    return True


def answered(workers: Sequence[Worker], timeout_s: float) -> list[Worker]:
    """Those of some workers that have an answer, or have ended; waits for the first."""
    waiting: dict[Any, Worker] = {worker._pipe: worker for worker in workers}
    waiting |= {worker._process.sentinel: worker for worker in workers}
    return list(dict.fromkeys(waiting[ready] for ready in wait(list(waiting), timeout_s)))


def in_processes(
    work: Callable[[Any], Any], messages: Sequence[Any], *, processes: int
) -> Iterator[Any]:
    """What `work` makes of every message, in their order; each is begun as a process is free.

    Args:
        work: Goes to the processes by pickle. With one process this one calls it.
        messages: Any number.
        processes: Of one thread each.

    Raises:
        WorkerDiedError: If a process ends.
        Exception: What the work raised, in the place of its result: after those before it.
    """
    processes = min(processes, len(messages))
    if processes < 2:
        for message in messages:  # a map would end where the work raises StopIteration
            yield work(message)
        return
    idle = [Worker(_OneThread(work)) for _ in range(processes)]
    busy: dict[Worker, int] = {}
    answers: dict[int, Any] = {}
    failures: dict[int, Exception] = {}
    waiting = iter(enumerate(messages))
    try:
        for number in range(len(messages)):
            while number not in answers.keys() | failures.keys():
                for worker, (place, message) in zip(list(idle), waiting, strict=False):
                    idle.remove(worker)
                    busy[worker] = place
                    worker.send(message)
                for worker in answered(list(busy), STARTED_BY_CHECKED_S):
                    place = busy.pop(worker)
                    idle.append(worker)
                    try:
                        answers[place] = worker.receive()
                    except WorkerDiedError:
                        raise
                    except Exception as failure:
                        failures[place] = failure
            if number in failures:
                raise failures[number]
            yield answers.pop(number)
    finally:
        for worker in [*idle, *busy]:
            worker.close()


@dataclass(frozen=True)
class _OneThread:
    """Work on one thread."""

    work: Callable[[Any], Any]

    def __call__(self, message: Any) -> Any:
        import torch  # which takes seconds

        torch.set_num_threads(1)
        return self.work(message)


def is_orphan() -> bool:
    """Whether whoever started this process has ended.

    Its own parent is the process that it is a fork of, which lives as long as any of them.
    """
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _serve(pipe: Connection) -> None:
    try:
        failure = _loaded(pipe.recv())
        work: Any = pipe.recv_bytes() if failure else pipe.recv()  # its class may be a plug-in's
        while True:
            while not pipe.poll(STARTED_BY_CHECKED_S):
                if is_orphan():
                    return
            if failure:
                pipe.recv_bytes()
                pipe.send((False, failure))
            else:
                pipe.send(_answer(work, pipe.recv()))
    except (EOFError, OSError):
        return  # whoever started this has ended


def _loaded(plugins: Sequence[PluginFile]) -> UserError | None:
    """Loads plug-ins; why one cannot be."""
    try:
        load_plugin_texts(plugins)
    except UserError as error:
        return error
    return None


def _answer(work: Callable[[Any], Any], message: Any) -> tuple[bool, Any]:
    try:
        return True, work(message)
    except Exception as error:
        return False, error


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Processes started now do not run the program's main file, which need not expect it, and do
    not look for modules in the working directory."""
    main, before = sys.modules["__main__"], dict(os.environ)
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ.update(path := search_path())
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name in path:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C, which a terminal gives to all, does not reach processes that are started now.

    We end them. If it comes meanwhile, it is heard afterwards.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "pthread_sigmask"):  # Windows has none
        yield
        return
    resource_tracker.ensure_running()  # where it starts, it lets interrupts in
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which processes inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)
