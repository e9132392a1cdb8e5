"""What the machine did while files were timed: a fixed kernel between processes, and others' work.

The kernel is timed by the process that waits, before each process that times files, so its time
changes with the machine alone and not with the files. What was measured beside others is measured
again while there is time: whether a process counts depends on what others did meanwhile, and not on
what it measured, so leaving it out favours no file.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.system.load import frequency_mhz, others_between, processor_time

KERNEL_VALUES, KERNEL_CALLS, KERNEL_SAMPLES = 16_384, 20, 15
NOTICED, NOTICED_SHARE = 0.3, 0.1
"""Processors, and share of all of them, that others keep busy where a machine counts as loaded."""

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
        frequency_mhz: Mean of the cores that may be used, at its end; None where it is not known.
    """

    kernel_ms: float
    others: float | None
    seconds: float
    frequency_mhz: float | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether others worked so much that latencies may be theirs, too."""
        return is_noticed(self.others)


def watched(work: Callable[[], Block | None]) -> Block:
    """Do some work in processes that have ended when it returns, and say what went on.

    Args:
        work: Returns what it says itself, of a device that worked instead of this machine.
    """
    kernel_ms = time_kernel()
    before, started = processor_time(), time.monotonic()
    if there := work():
        return there
    seconds = time.monotonic() - started
    others = others_between(before, processor_time(), seconds)
    return Block(kernel_ms=kernel_ms, others=others, seconds=seconds, frequency_mhz=frequency_mhz())


def is_noticed(others: float | None) -> bool:
    """Whether so many processors are more than a machine at rest has busy."""
    least = max(NOTICED, NOTICED_SHARE * (os.cpu_count() or 1))
    return others is not None and others >= least


def undisturbed(blocks: Sequence[Block], least: int) -> list[int]:
    """Numbers of the processes that count: those beside which nobody worked, if they are enough.

    Args:
        blocks: One per process.
        least: How many are enough; all count where there are fewer.
    """
    quiet = [number for number, block in enumerate(blocks) if not block.is_loaded]
    return quiet if len(quiet) >= least else list(range(len(blocks)))


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


def said_of_others(others: float | None) -> str:
    """That others worked, too; "" if they did not, or it is not known."""
    if others is None or not is_noticed(others):
        return ""
    num = max(1, round(others))
    return (
        f"measured beside {num} other process{'es' * (num > 1)}: others kept {others:.1f} "
        "processors busy"
    )


def said_of(blocks: Sequence[Block], left_out: Sequence[Block] = ()) -> list[str]:
    """Sentences on what may have disturbed the measurement; none if nothing did.

    Args:
        blocks: Of the processes that count.
        left_out: Of those that were measured again, because the machine was loaded.
    """
    found = []
    if left_out:
        of_all, busy = len(blocks) + len(left_out), mean_others(left_out) or 0.0
        found.append(
            f"{len(left_out)} of {of_all} processes are left out and were measured again: "
            f"meanwhile others kept {busy:.1f} processors busy"
        )
    if text := said_of_others(mean_others(blocks)):
        found.append(f"{text}, and there was no quieter time; ratios hold, milliseconds less so")
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
