"""One timing process: times calls in interleaved rounds. Started by `_timing.py`.

Reads one job as JSON from stdin: `target`, with its options, `files`, `seed`, `budget_s`, and
`plugins`, the plug-in files that it takes; `environment`, variables for the runtime, where it needs
some. Writes JSON lines to stdout: `{"opening": i}` and
`{"opened": i}` around the loading of file i (so that the parent knows which file brought the
process down), and last `{"files": [...]}`, per file either `median_ms`, `iqr_ms` and `runs`, or
`error`. A job that `keeps_samples` is given `sample_ms`, too, in the order of the rounds; one that
`counts_energy`, where the system does so, `energy_mj`. Whatever libraries print goes to stderr.

The protocol inside a process:

- Every file is loaded and warmed up before the first round. With more than one thread, only one
  session may be alive (two thread pools disturb each other), so files are loaded again at each
  visit.
- A round visits every file once, in an order drawn anew, so that drift of the machine hits all
  alike.
- A visit makes one call that is not timed (it brings the weights back into the caches, so that a
  number does not depend on which other files were in the round), then takes samples for about 2 ms.
- A sample is one call, or as many calls as last 0.1 ms: the clock (50 ns) then adds < 0.1 %.
- After 20 rounds (5 longer ones with more than one thread), or when the budget is used, but after
  no fewer than 3 rounds, a file's number is the median of its samples.
- Where energy is asked for and can be read, each file is then called for 30 ms, apart, because
  counters change once in a millisecond.
"""

import functools
import gc
import json
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from nas.system.energy import energy_uj, joules_between
from nas.targets._base import AbstractRuntime
from nas.targets._chosen import ChosenTarget, choose
from search_spaces import CandidateError, load_plugin_texts

_MIN_ROUNDS = 3
_MIN_SAMPLE_NS = 100_000
_VISIT_NS = 2_000_000
_MAX_SAMPLES_PER_VISIT = 8
_WARM_UP_NS = 250_000_000
_BLOCK_NS = 50_000_000
_BLOCK_CALLS = 5
_STABLE = 0.98
_ENERGY_NS = 30_000_000

Call = Callable[[], None]
Open = Callable[[], Call]
Clock = Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How many rounds a process makes, and how many visits' worth of samples it takes in each."""

    rounds: int
    visits: int


INTERLEAVED = Schedule(rounds=20, visits=1)
EXCLUSIVE = Schedule(rounds=5, visits=4)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What one process measured of one file: milliseconds per call, and number of timed calls.

    Millijoules per call are those of the whole processor meanwhile; None where it has no counters.
    """

    sample_ms: tuple[float, ...]
    runs: int
    energy_mj: float | None = None

    def to_json(self, *, keeps_samples: bool = False) -> dict[str, Any]:
        """Median, interquartile range and number of calls; all samples if they are asked for."""
        low, median, high = statistics.quantiles(self.sample_ms, n=4, method="inclusive")
        kept = {"sample_ms": [round(ms, 6) for ms in self.sample_ms]} if keeps_samples else {}
        used = {} if self.energy_mj is None else {"energy_mj": self.energy_mj}
        return {"median_ms": median, "iqr_ms": high - low, "runs": self.runs, **used, **kept}


def time_calls(
    openers: Sequence[Open],
    *,
    seed: int,
    budget_s: float,
    is_exclusive: bool = False,
    counts_energy: bool = False,
    clock: Clock = time.perf_counter_ns,
) -> list[Samples | CandidateError]:
    """Times calls against each other, as this module's docstring says.

    Args:
        openers: One per file; returns the call to time, or raises CandidateError.
        seed: Draws the order of each round.
        budget_s: No round starts after this many seconds, except the first three.
        is_exclusive: Whether only one call may exist at a time.
        counts_energy: Whether files are called for their energy, where it can be read.
        clock: Nanoseconds since some fixed time.

    Returns:
        One per opener, in their order.
    """
    parent = os.getppid()
    deadline = clock() + 1e9 * budget_s
    schedule = EXCLUSIVE if is_exclusive else INTERLEAVED
    visitors = [_Visitor(opener, clock) for opener in openers]
    if not is_exclusive:
        for visitor in visitors:
            visitor.open()
            _end_without(parent)
    rng = random.Random(seed)
    for done in range(schedule.rounds):
        if done >= _MIN_ROUNDS and clock() > deadline:
            break
        for visitor in rng.sample(visitors, len(visitors)):
            if is_exclusive:
                visitor.open()
            visitor.visit(schedule.visits)
            if is_exclusive:
                visitor.close()
            _end_without(parent)
    if counts_energy and energy_uj() is not None:
        for visitor in visitors:
            if is_exclusive:
                visitor.open()
            visitor.use_energy()
            if is_exclusive:
                visitor.close()
            _end_without(parent)
    return [visitor.result() for visitor in visitors]


def _end_without(parent: int) -> None:
    """Ends this process if the one that asked was killed, whose successor may be timing already."""
    if os.getppid() != parent:
        raise SystemExit("the process that asked for this timing is gone")


class _Visitor:
    """One file during `time_calls`: its call while that is open, and its samples so far."""

    def __init__(self, opener: Open, clock: Clock) -> None:
        self._opener = opener
        self._clock = clock
        self._call: Call | None = None
        self._call_ns = 0.0
        self._error: CandidateError | None = None
        self._sample_ms: list[float] = []
        self._runs = 0
        self._energy_mj: float | None = None

    def open(self) -> None:
        if self._error is not None:
            return
        try:
            self._call = self._opener()
        except CandidateError as error:
            self._error = error
        else:
            self._call_ns = warm_up(self._call, self._clock)

    def close(self) -> None:
        self._call = None

    def visit(self, visits: int) -> None:
        if self._call is None:
            return
        group = math.ceil(_MIN_SAMPLE_NS / self._call_ns)
        samples = min(_MAX_SAMPLES_PER_VISIT, math.ceil(_VISIT_NS / (group * self._call_ns)))
        self._call()
        for _ in range(visits * samples):
            self._sample_ms.append(_elapsed_ns(self._call, group, self._clock) / group / 1e6)
            self._runs += group

    def use_energy(self) -> None:
        if self._call is None:
            return
        calls = math.ceil(_ENERGY_NS / self._call_ns)
        before = energy_uj()
        for _ in range(calls):
            self._call()
        joules = joules_between(before, energy_uj())
        self._energy_mj = None if joules is None else 1e3 * joules / calls

    def result(self) -> Samples | CandidateError:
        if self._error is not None:
            return self._error
        return Samples(sample_ms=tuple(self._sample_ms), runs=self._runs, energy_mj=self._energy_mj)


def warm_up(call: Call, clock: Clock) -> float:
    """Calls until a block of five is no longer faster than the best before it, or 0.25 s passed.

    Returns:
        Nanoseconds per call, at least 1.
    """
    end = clock() + _WARM_UP_NS
    best = math.inf
    while True:
        block = _block_ns(call, clock)
        is_stable = block >= _STABLE * best
        best = min(best, block)
        if is_stable or clock() > end:
            return max(best, 1.0)


def _block_ns(call: Call, clock: Clock) -> float:
    end = clock() + _BLOCK_NS
    elapsed_ns = [_elapsed_ns(call, 1, clock)]
    while len(elapsed_ns) < _BLOCK_CALLS and clock() < end:
        elapsed_ns.append(_elapsed_ns(call, 1, clock))
    return statistics.median(elapsed_ns)


def _elapsed_ns(call: Call, times: int, clock: Clock) -> int:
    start = clock()
    for _ in range(times):
        call()
    return clock() - start


def main() -> None:
    """Runs the job on stdin."""
    results = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    job = json.load(sys.stdin)
    os.environ.update(job.get("environment", {}))
    load_plugin_texts(job["plugins"])
    chosen = choose(job["target"])
    gc.disable()
    outcomes = time_calls(
        [
            functools.partial(_open, chosen, number, job, results)
            for number in range(len(job["files"]))
        ],
        seed=job["seed"],
        budget_s=job["budget_s"],
        is_exclusive=chosen.threads > 1,
        counts_energy=job.get("counts_energy", False),
    )
    keeps_samples = job.get("keeps_samples", False)
    rows = [
        {"error": str(outcome)}
        if isinstance(outcome, CandidateError)
        else outcome.to_json(keeps_samples=keeps_samples)
        for outcome in outcomes
    ]
    print(json.dumps({"files": rows}), file=results)


def _open(chosen: ChosenTarget, number: int, job: dict[str, Any], results: TextIO) -> Call:
    assert isinstance(chosen.target, AbstractRuntime)
    print(json.dumps({"opening": number}), file=results)
    file = Path(job["files"][number])
    call = chosen.target.prepare(file, threads=chosen.threads, batch=chosen.batch)
    print(json.dumps({"opened": number}), file=results)
    return call


if __name__ == "__main__":
    main()
