"""What the machine did while files were timed: a fixed kernel between processes, and others' work.

The kernel is timed by the process that waits, before each process that times files, so its time
changes with the machine alone and not with the files.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.system.load import others_between, processor_time

KERNEL_VALUES, KERNEL_CALLS, KERNEL_SAMPLES = 16_384, 20, 15
NOTICED = 0.3
"""Processors that others keep busy before they are mentioned."""

DRIFT = 0.05
"""By which share the kernel's time may change from the first third of processes to the last."""

SPREAD = 0.15
"""And by which it may differ between any two of the middle nine tenths."""

LEAST_BLOCKS = 6


@dataclass(frozen=True, kw_only=True)
class Block:
    """What went on while one process timed all files.

    Attributes:
        kernel_ms: The fixed kernel just before it; milliseconds.
        others: Processors that other processes kept busy meanwhile; None where it is not known.
        seconds: How long it took.
    """

    kernel_ms: float
    others: float | None
    seconds: float


def watched(work: Callable[[], None]) -> Block:
    """Do some work in processes that have ended when it returns, and say what went on."""
    kernel_ms = time_kernel()
    before, started = processor_time(), time.monotonic()
    work()
    seconds = time.monotonic() - started
    others = others_between(before, processor_time(), seconds)
    return Block(kernel_ms=kernel_ms, others=others, seconds=seconds)


def time_kernel() -> float:
    """Milliseconds of a fixed piece of arithmetic on one thread that stays in a core's cache."""
    values = np.linspace(0.1, 1.0, KERNEL_VALUES, dtype=np.float32)
    out = np.empty_like(values)
    samples_ms = []
    for _ in range(KERNEL_SAMPLES):
        started = time.perf_counter_ns()
        for _ in range(KERNEL_CALLS):
            np.exp(values, out=out)
            np.sqrt(out, out=out)
        samples_ms.append((time.perf_counter_ns() - started) / 1e6)
    return statistics.median(samples_ms)


def mean_others(blocks: Sequence[Block]) -> float | None:
    """Processors that others kept busy, by the time that each block took; None if not known."""
    known = [(block.others, block.seconds) for block in blocks if block.others is not None]
    total_s = sum(seconds for _, seconds in known)
    return sum(others * seconds for others, seconds in known) / total_s if total_s else None


def drift(blocks: Sequence[Block]) -> float:
    """By which share the machine was slower in the last third than in the first; 0 for a few."""
    if len(blocks) < LEAST_BLOCKS:
        return 0.0
    third = len(blocks) // 3
    first, last = (
        statistics.median(block.kernel_ms for block in some)
        for some in (blocks[:third], blocks[-third:])
    )
    return last / first - 1.0


def spread(blocks: Sequence[Block]) -> float:
    """By which share the kernel's times differ, but for a twentieth at either end."""
    kernel_ms = [block.kernel_ms for block in blocks]
    low, high = np.quantile(kernel_ms, [0.05, 0.95]) if kernel_ms else (1.0, 1.0)
    return float(high / low - 1.0)


def said_of(blocks: Sequence[Block]) -> list[str]:
    """Sentences on what may have disturbed the measurement; none if nothing did."""
    found = []
    others = mean_others(blocks)
    if others is not None and others >= NOTICED:
        num = max(1, round(others))
        found.append(
            f"measured beside {num} other process{'es' * (num > 1)}: others kept {others:.1f} "
            "processors busy"
        )
    change = drift(blocks)
    if abs(change) > DRIFT:
        word = "slower" if change > 0 else "faster"
        found.append(
            f"drift: the machine was {abs(change):.0%} {word} at the end than at the beginning; "
            "compare the ratios, which are taken within processes"
        )
    elif spread(blocks) > SPREAD:
        found.append(
            f"the machine's own speed varied by {spread(blocks):.0%} between processes; compare "
            "the ratios, which are taken within processes"
        )
    return found
