"""Files timed against each other for as long as it takes, or as there is time.

The protocol is that of `nas/targets/_timing.py`: a process is the unit, all files are timed in
interleaved rounds in each, and files compare by their ratio within processes. How many processes
there are follows from the widths of the files' own intervals and not from differences between
them, so that stopping early favours no verdict. Processes beside which others worked are left out
as soon as there are enough others, and until then there are more of them while there is time.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nas.system.environment import now
from nas.targets import (
    AbstractRuntime,
    ChosenTarget,
    TimesProcesses,
    Timing,
    is_tie,
    paired_ratio,
)
from nas.targets._conditions import Block, mean_others, undisturbed, watched
from nas.targets._timing import job_of, summarise, time_once
from search_spaces import CandidateError, UserError

LEAST_PROCESSES, MOST_PROCESSES = 5, 400
NARROW = 0.02
"""Width of the 95 % interval, as a share of the median, at which a file is known well enough."""

SHARE_OF_TIME = 1 / 15
"""Of the time, for the rounds of one process."""

LONGEST_S = 2.0
"""Of these rounds: many processes say more than long ones."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two files that were timed together.

    Attributes:
        first: Number of the one, from 0.
        second: Number of the other.
        ratio: Latency of the second in multiples of the first's.
        interval: Its 95 % interval.
        is_tie: Whether the two cannot be told apart.
    """

    first: int
    second: int
    ratio: float
    interval: tuple[float, float]
    is_tie: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What timing files against each other has shown.

    Attributes:
        timings: One per file.
        samples_ms: By file and process all samples, in the order they were taken.
        blocks: By process what went on meanwhile.
        kept: Numbers of the processes that timings are of.
        seconds: How long it took.
    """

    timings: tuple[Timing, ...]
    samples_ms: tuple[tuple[tuple[float, ...], ...], ...]
    blocks: tuple[Block, ...]
    kept: tuple[int, ...]
    seconds: float

    @property
    def kept_blocks(self) -> list[Block]:
        """What went on in the processes that timings are of."""
        return [self.blocks[number] for number in self.kept]

    @property
    def left_out(self) -> list[Block]:
        """What went on in the others."""
        return [block for number, block in enumerate(self.blocks) if number not in self.kept]

    @property
    def width(self) -> float:
        """Of the widest interval, as a share of its median."""
        return max(map(width_of, self.timings))

    @property
    def pairs(self) -> list[Pair]:
        """Every two files, in the order given."""
        numbered = enumerate(self.timings)
        return [_pair(i, a, j, b) for (i, a), (j, b) in itertools.combinations(numbered, 2)]


def compare(
    files: Sequence[Path],
    *,
    chosen: ChosenTarget,
    seconds: float,
    progress: Callable[[int, float], None] = lambda processes, width: None,
    clock: Callable[[], float] = time.monotonic,
) -> Comparison:
    """Time files until every interval is narrow (`NARROW`) on a quiet machine, or the time is up.

    At least five processes run in any case.

    Args:
        files: Of models; one that is given twice is timed twice.
        chosen: A runtime, or a device that times one process after the other.
        seconds: How long it may take.
        progress: Called after each process with their number and the width of the widest interval.
        clock: Seconds since some fixed time.

    Raises:
        UserError: If the target is no runtime of this machine, or cannot run one of the files.
        RuntimeError: If a process hangs, or dies for a reason that no file explains.
    """
    about = _about(chosen)
    rows: dict[int, list[Mapping[str, Any]]] = {number: [] for number in range(len(files))}
    errors: dict[int, CandidateError] = {}
    blocks: list[Block] = []
    started = clock()
    with job_of(chosen) as job:
        asked = {**job, "keeps_samples": True, "counts_energy": True}
        while True:
            share_s = min(LONGEST_S, SHARE_OF_TIME * seconds)
            one = {**asked, "seed": len(blocks), "budget_s": share_s}
            blocks.append(watched(partial(time_once, one, files, rows, errors)))
            if errors:
                raise UserError("\n".join(dict.fromkeys(map(_refusal, errors.values()))))
            kept = undisturbed(blocks, LEAST_PROCESSES)
            timings = [_timing(rows[n], blocks, kept, about) for n in range(len(files))]
            width, spent_s = max(map(width_of, timings)), clock() - started
            progress(len(blocks), width)
            is_quiet = not any(blocks[number].is_loaded for number in kept)
            is_enough = (width <= NARROW and is_quiet) or len(blocks) >= MOST_PROCESSES
            is_late = spent_s + blocks[-1].seconds > seconds
            if len(blocks) >= LEAST_PROCESSES and (is_enough or is_late):
                break
    return Comparison(
        timings=tuple(timings),
        samples_ms=tuple(
            tuple(tuple(row["sample_ms"]) for row in rows[n]) for n in range(len(files))
        ),
        blocks=tuple(blocks),
        kept=tuple(kept),
        seconds=spent_s,
    )


def _about(chosen: ChosenTarget) -> dict[str, Any]:
    """What all latencies have in common.

    Raises:
        UserError: If the target is no runtime of this machine.
    """
    if not isinstance(chosen.target, AbstractRuntime | TimesProcesses):
        raise UserError(
            f"target '{chosen.name}' is a device that times files itself, so files cannot be timed "
            "beside each other process by process. Give a --target that is a runtime, or remote."
        )
    return {
        "threads": chosen.threads,
        "batch": chosen.batch,
        "options": chosen.options,
        **chosen.target.describe(),
        "machine": chosen.target.machine(),
        "measured_at": now(),
    }


def _timing(
    rows: Sequence[Mapping[str, Any]],
    blocks: Sequence[Block],
    kept: Sequence[int],
    about: Mapping[str, Any],
) -> Timing:
    """Of the processes that count."""
    discarded, others = len(rows) - len(kept), mean_others([blocks[number] for number in kept])
    return summarise([rows[n] for n in kept], discarded=discarded, others=others, **about)


def width_of(timing: Timing) -> float:
    """Of the interval of a latency, as a share of it."""
    low, high = timing.interval_ms
    return (high - low) / timing.median_ms


def _pair(i: int, a: Timing, j: int, b: Timing) -> Pair:
    ratio, interval = paired_ratio(b, a)
    return Pair(first=i, second=j, ratio=ratio, interval=interval, is_tie=is_tie(a, b))


def _refusal(error: CandidateError) -> str:
    """One line: runtimes quote whole graphs."""
    text = " ".join(str(error).split())
    return f"{text[:500]}{'...' if len(text) > 500 else ''}"
