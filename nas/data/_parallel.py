"""Work on images in threads: Pillow lets go of the interpreter while it decodes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from nas.data._decode import Content
from nas.system.environment import num_cores

Result = TypeVar("Result")
Named = tuple[str, Content]

IMAGES_AT_ONCE = 64
BYTES_AT_ONCE = 8 << 20


def in_parallel(
    work: Callable[[int, list[Named]], Result], images: Iterable[Named]
) -> Iterator[tuple[int, Result]]:
    """The results of `work(start, some of the images)`, in order, with how many images it had.

    Only a few batches are in memory at any time, however many images there are.

    Args:
        work: Gets the number of its first image, and images with their names.
        images: All images.
    """
    workers = num_cores()
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[tuple[int, Future[Result]]] = deque()
        start = 0
        for batch in _batches(images):
            pending.append((len(batch), pool.submit(work, start, batch)))
            start += len(batch)
            if len(pending) > 2 * workers:
                yield _finished(pending)
        while pending:
            yield _finished(pending)


def _finished(pending: deque[tuple[int, Future[Result]]]) -> tuple[int, Result]:
    size, future = pending.popleft()
    return size, future.result()


def _batches(images: Iterable[Named]) -> Iterator[list[Named]]:
    batch: list[Named] = []
    size = 0
    for where, content in images:
        batch.append((where, content))
        size += content.nbytes if isinstance(content, np.ndarray) else len(content)
        if len(batch) >= IMAGES_AT_ONCE or size >= BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
