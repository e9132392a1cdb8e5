"""Processes that decode images for this one, each on one thread.

Every one has a queue of requests and a thread here that takes its answers as they come, so that it
never waits for whoever asked. Who asks decides how much is asked for at a time; nothing else bounds
the memory of what was answered.

Processes of `multiprocessing` may not start others of their kind, and images are decoded for those
that train, so these are started as programs.
"""

import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from io import BufferedReader
from queue import SimpleQueue
from typing import Any, cast, final

import numpy as np

from nas.data._base import Int64Array, UInt8Array
from search_spaces import UserError
from supernets._search_path import search_path

WORKER = "nas.data._decode_worker"
PIPE_BYTES = 1 << 20
INT64_BYTES = 8

Asked = tuple[list[UInt8Array], "Future[None]"]
"""Places for the pixels of images, in the order of the request, and who waits for them."""


@final
class Decoders:
    """Some of these processes; they end with this object, and with this process however it ends.

    Args:
        job: What the worker is told first, as JSON types; see there.
        number: Of processes.
    """

    def __init__(self, job: Mapping[str, Any], number: int) -> None:
        self.number = number
        text = json.dumps(job).encode() + b"\n"
        self._workers = [_Worker(text) for _ in range(number)]
        weakref.finalize(self, _end, self._workers)

    def ask(self, images_B: Int64Array, pixels_BCHW: UInt8Array) -> "list[Future[None]]":
        """Have images decoded into an array, shared out evenly; returns at once.

        Args:
            images_B: Which.
            pixels_BCHW: Where to; theirs when all that is returned is done.
        """
        number = len(self._workers)
        return [
            worker.ask(images_B[first::number], list(pixels_BCHW[first::number]))
            for first, worker in enumerate(self._workers[: len(images_B)])
        ]


class _Worker:
    """A process, and the thread that takes its answers."""

    def __init__(self, job: bytes) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            env={**os.environ, **search_path()},
        )
        self.queue: SimpleQueue[Asked | None] = SimpleQueue()
        self._write(job)
        threading.Thread(target=_take, args=(self.process, self.queue), daemon=True).start()

    def ask(self, images_B: Int64Array, pixels: list[UInt8Array]) -> "Future[None]":
        future: Future[None] = Future()
        self.queue.put((pixels, future))
        numbers = np.ascontiguousarray(images_B, np.int64)
        self._write(np.int64(len(numbers)).tobytes() + numbers.tobytes())
        return future

    def _write(self, content: bytes) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # that it has ended is seen where its answers are taken
            self.process.stdin.write(content)
            self.process.stdin.flush()


def _take(process: "subprocess.Popen[bytes]", queue: "SimpleQueue[Asked | None]") -> None:
    """Puts answers where they belong until there are no more requests."""
    answers = cast(BufferedReader, process.stdout)
    while asked := queue.get():
        pixels, future = asked
        try:
            _receive(answers, pixels)
        except EOFError:
            future.set_exception(_death(process.wait()))
        except Exception as error:  # whoever asked must not wait for ever
            future.set_exception(error)
        else:
            future.set_result(None)
    answers.close()


def _receive(answers: BufferedReader, pixels: Sequence[UInt8Array]) -> None:
    """Takes the answers to one request.

    Raises:
        EOFError: If they end before.
        UserError: What the first one says that is no image.
    """
    complaint = ""
    for image_CHW in pixels:
        if _exactly(answers, 1) == b"\0":
            if answers.readinto(image_CHW.data.cast("B")) != image_CHW.nbytes:
                raise EOFError
        else:
            (length,) = np.frombuffer(_exactly(answers, INT64_BYTES), np.int64)
            said = _exactly(answers, int(length)).decode()
            complaint = complaint or said
    if complaint:
        raise UserError(f"{complaint} Or leave it out with --skip-corrupt.")


def _exactly(answers: BufferedReader, count: int) -> bytes:
    content = answers.read(count)
    if len(content) != count:
        raise EOFError
    return content


def _death(code: int) -> UserError:
    return UserError(
        f"a process that decodes images has ended with code {code}, perhaps for lack of memory. "
        "What was recorded is whole: the same command continues."
    )


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()  # it keeps nothing
        worker.queue.put(None)
    for worker in workers:
        worker.process.wait()
        assert worker.process.stdin is not None
        with suppress(OSError):
            worker.process.stdin.close()
