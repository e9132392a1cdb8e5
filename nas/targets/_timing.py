"""The one timing protocol, seen from outside: fresh processes, and statistics over them.

Repeats inside one process say little about the next process: where the allocator puts the weights,
and which core the system picks, is drawn once per process. The same file with two threads gave 8.9,
14.9, 15.2 and 15.1 ms in four processes whose own spread was below 0.6 ms. So the process is the
unit: every process times all files in interleaved rounds (`_worker.py`), a file's latency is the
median of its process medians, and the interval is a bootstrap over processes. Two files timed
together are compared by the ratio within each process, which cancels what the machine did to both.

Other users of a shared machine can slow it to half for some seconds, all files alike. Processes in
which that happened, or beside which others were seen to work (`_conditions.py`), are replaced by
spare ones if the caller allows some: those in which the files together ran fastest are kept. Which
these are is never decided per file.
"""

import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.system.environment import now, this_machine
from nas.targets._base import TORCH_CHECKPOINT, AbstractRuntime, TimesProcesses, Timing
from nas.targets._chosen import ChosenTarget, choose
from nas.targets._conditions import Block, mean_others, watched
from search_spaces import CandidateError, PluginFile, loaded_plugins, stem_of
from supernets._search_path import search_path

_WORKER_COMMAND = (sys.executable, "-m", "nas.targets._worker")
_DEFAULT_BUDGET_S = 120.0
_PATIENCE_S, _COMPILE_S = 300.0, 120.0
_CONFIDENCE = 0.95
_RESAMPLES = 2000
_BIMODAL_FRACTION = 0.1
_BIMODAL_SPREADS = 3.0
_TIE_MARGIN = 0.01
_STEADY = 1.15
_FOR_PEOPLE = 5
"""Processes from which on numbers are shown, and energy is worth some time."""

Row = Mapping[str, Any]

logger = logging.getLogger(__name__)


def measure(
    target: str,
    files: Sequence[Path],
    *,
    threads: int = 1,
    processes: int = 5,
    spares: int = 0,
    budget_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Timing | CandidateError]:
    """Times model files against each other on this machine; nothing else should run meanwhile.

    Args:
        target: A runtime, or a device that `TimesProcesses`, with its options if it is to have
            some: see `_chosen.py`.
        files: Model files; not changed. A file given twice is timed twice.
        threads: Threads that one call may use, where the target's options do not say it.
        processes: Fresh processes, one after the other. Below 5, intervals and ties mean little.
        spares: More processes, started one by one while the machine's speed differs by over 15 %
            between those that would be kept, or others worked beside one of these.
        budget_s: Seconds for all processes together; a spare gets as much as each of them. Loading,
            warm-up and three rounds per process happen in any case. Without a budget: 20 rounds,
            or 120 seconds per process.
        progress: Called after each process with (processes done, processes in all).

    Returns:
        Per file, in the order given, its timing, or why it has none.

    Raises:
        UserError: If the target is unknown or not installed, or its options are wrong.
        RuntimeError: If a process hangs, answers nonsense, or dies for a reason that loading one of
            the files does not explain.
    """
    chosen = choose(target, threads=threads)
    about: dict[str, Any] = {**chosen.target.describe(), "options": chosen.options}
    about |= {"machine": chosen.target.machine()}
    measured_at = now()
    total_s = _DEFAULT_BUDGET_S * processes if budget_s is None else budget_s
    deadline = time.monotonic() + total_s
    is_for_people = processes >= _FOR_PEOPLE
    rows: dict[int, list[Row]] = {number: [] for number in range(len(files))}
    errors: dict[int, CandidateError] = {}
    blocks: list[Block] = []
    with job_of(chosen) as job:
        for process in range(processes + spares):
            if process >= processes and is_undisturbed(rows, blocks, processes):
                break
            share_s = total_s / processes
            if process < processes:
                share_s = max(0.0, deadline - time.monotonic()) / (processes - process)
            one = {**job, "seed": process, "budget_s": share_s, "counts_energy": is_for_people}
            blocks.append(watched(partial(time_once, one, files, rows, errors)))
            if progress is not None:
                progress(min(process + 1, processes), processes)
    kept = fastest(rows, processes)
    about |= {"measured_at": measured_at, "others": mean_others([blocks[n] for n in kept])}
    return [
        errors[number]
        if number in errors
        else summarise(
            [rows[number][process] for process in kept],
            threads=chosen.threads,
            batch=chosen.batch,
            discarded=len(rows[number]) - len(kept),
            **about,
        )
        for number in range(len(files))
    ]


@contextmanager
def job_of(chosen: ChosenTarget) -> Iterator[dict[str, Any]]:
    """What processes are told besides files, seed and seconds: see `_worker.py`.

    What they compile is kept while this context lasts.
    """
    job = {"target": chosen.text, "plugins": _plugins_of(chosen)}
    variable = chosen.target.compiled_in if isinstance(chosen.target, AbstractRuntime) else ""
    if not variable:
        yield job
        return
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        yield {**job, "environment": {variable: folder}}


def _plugins_of(chosen: ChosenTarget) -> list[PluginFile]:
    """The plug-in file that has a target, if one does: others would disturb what is timed.

    All where checkpoints are loaded, which name operators and formats.
    """
    if chosen.target.artefact == TORCH_CHECKPOINT:
        return list(loaded_plugins())
    return [plugin for plugin in loaded_plugins() if plugin.name == stem_of(chosen.name)]


def time_once(
    job: Mapping[str, Any],
    files: Sequence[Path],
    rows: dict[int, list[Row]],
    errors: dict[int, CandidateError],
) -> Block | None:
    """One process more: a row for every file that has no error yet, or its error.

    Args:
        job: As `job_of` gives it, with `seed` and `budget_s`.
        files: All of them.
        rows: By number of the file, what processes measured so far; appended to.
        errors: By number of the file, why it has no rows; added to.

    Returns:
        What a device did meanwhile; None where the process ran on this machine, which can be
        watched.
    """
    waiting = {number: Path(files[number]).resolve() for number in rows}
    conditions: Block | None = None
    chosen = choose(job["target"])
    if isinstance(chosen.target, TimesProcesses):
        found = chosen.target.time_process(
            waiting,
            threads=chosen.threads,
            seed=job["seed"],
            budget_s=job["budget_s"],
            keeps_samples=job.get("keeps_samples", False),
        )
        answers, conditions = found.files, found.conditions
    else:
        answers = run_process(job, waiting)
    for number, answer in answers.items():
        if isinstance(answer, CandidateError):
            errors[number] = answer
            del rows[number]
        else:
            rows[number].append(answer)
    return conditions


def slowness(rows: Mapping[int, Sequence[Row]]) -> np.ndarray:
    """How slow all files together ran in each process: 1 in a typical one; shape (processes,)."""
    ms_FP = np.array([[row["median_ms"] for row in of_file] for of_file in rows.values()])
    if not ms_FP.size:
        return np.ones(0)
    slowness_P: np.ndarray = np.median(ms_FP / np.median(ms_FP, axis=1, keepdims=True), axis=0)
    return slowness_P


def fastest(rows: Mapping[int, Sequence[Row]], processes: int) -> list[int]:
    """The processes in which all files together ran fastest, in the order they ran."""
    return sorted(np.argsort(slowness(rows), kind="stable")[:processes].tolist())


def is_undisturbed(
    rows: Mapping[int, Sequence[Row]], blocks: Sequence[Block], processes: int
) -> bool:
    """Whether the machine had one speed in the processes that would be kept, and was ours alone."""
    kept = fastest(rows, processes)
    kept_P = slowness(rows)[kept]
    if not kept_P.size:
        return True
    is_steady = float(kept_P.max()) <= _STEADY * float(kept_P.min())
    return is_steady and not any(blocks[process].is_loaded for process in kept)


def is_tie(a: Timing, b: Timing) -> bool:
    """Whether two files are indistinguishable in latency; both must come from one `measure`.

    They are if the 95 % interval of the ratio of their latencies, bootstrapped over the processes
    that timed both, reaches within 1 % of 1. The margin is there because a file loaded twice
    differs by that much from itself, and because five processes alone would call 2 of 32 equal
    pairs different.

    Raises:
        ValueError: If the two were not timed together.
    """
    if not timed_together(a, b):
        raise ValueError(
            f"timings of {a.measured_at} and {b.measured_at} cannot be paired. "
            "Pass both files to one call of measure."
        )
    _, (low, high) = paired_ratio(a, b)
    return low <= 1.0 + _TIE_MARGIN and high >= 1.0 / (1.0 + _TIE_MARGIN)


def paired_ratio(a: Timing, b: Timing) -> tuple[float, tuple[float, float]]:
    """Latency of `a` in multiples of that of `b`, and its 95 % interval.

    The median of the ratios within each process, which has timed both; the interval is bootstrapped
    over the processes.
    """
    log_ratios = np.log(a.process_medians_ms) - np.log(b.process_medians_ms)
    low, high = bootstrap_interval(log_ratios)
    return math.exp(float(np.median(log_ratios))), (math.exp(low), math.exp(high))


def timed_together(a: Timing, b: Timing) -> bool:
    """Whether two timings come from the same processes."""
    return a.measured_at == b.measured_at and a.processes == b.processes


def summarise(
    rows: Sequence[Row],
    *,
    threads: int,
    batch: int,
    runtime: str,
    version: str,
    discarded: int = 0,
    measured_at: str = "",
    options: str = "",
    others: float | None = None,
    machine: Mapping[str, str] | None = None,
) -> Timing:
    """One file's timing from what each process measured of it.

    `is_bimodal` is true if the largest gap between neighbouring process medians exceeds both 10 %
    of the latency and 3 interquartile ranges of a (median) process: then there are two latencies,
    and the next process will have either. Of more than ten processes, a tenth must lie on each
    side of the gap.

    Args:
        rows: Per process `median_ms`, `iqr_ms`, `runs` and, where it is counted, `energy_mj`.
        threads: Threads that one call could use.
        batch: Images per call.
        runtime: Name of the runtime.
        version: Its version.
        discarded: Processes left out.
        measured_at: When the measurement started.
        options: The target's own options, as in its text.
        others: Processors that other processes kept busy.
        machine: As `AbstractTarget.machine`; this one if None.
    """
    medians_ms = np.array([row["median_ms"] for row in rows])
    median_ms = float(np.median(medians_ms))
    used_mj = [row["energy_mj"] for row in rows if "energy_mj" in row]
    spread_ms = float(np.median([row["iqr_ms"] for row in rows]))
    few = (len(medians_ms) - 1) // 10
    gaps_ms = np.diff(np.sort(medians_ms))
    gap_ms = float(gaps_ms[few : len(gaps_ms) - few].max(initial=0.0))
    return Timing(
        median_ms=median_ms,
        interval_ms=bootstrap_interval(medians_ms),
        process_medians_ms=tuple(medians_ms.tolist()),
        runs=sum(row["runs"] for row in rows),
        processes=len(rows),
        discarded=discarded,
        measured_at=measured_at,
        threads=threads,
        batch=batch,
        is_bimodal=gap_ms > max(_BIMODAL_FRACTION * median_ms, _BIMODAL_SPREADS * spread_ms),
        runtime=runtime,
        version=version,
        options=options,
        energy_mj=float(np.median(used_mj)) if used_mj else None,
        others=others,
        **(this_machine() if machine is None else machine),
    )


def bootstrap_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of the median of `values`, resampled with a fixed seed.

    With five values it is their range: that misses the true median in 2 of 32 cases, the least that
    any interval made of five values can.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    values_N = np.asarray(values)
    draws = np.random.default_rng(0).integers(len(values_N), size=(_RESAMPLES, len(values_N)))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(np.median(values_N[draws], axis=1), [tail, 1 - tail])
    return float(low), float(high)


def run_process(
    job: Mapping[str, Any], files: Mapping[int, Path]
) -> dict[int, Row | CandidateError]:
    """What one process measured of each file; if loading one kills it, another does the rest."""
    answers: dict[int, Row | CandidateError] = {}
    while numbers := [number for number in files if number not in answers]:
        last, code = _run_worker({**job, "files": [str(files[number]) for number in numbers]})
        rows = last.get("files", [])
        if code == 0 and len(rows) == len(numbers):
            for number, row in zip(numbers, rows, strict=True):
                answers[number] = CandidateError(row["error"]) if "error" in row else row
        elif code != 0 and "opening" in last:
            number = numbers[last["opening"]]
            answers[number] = CandidateError(
                f"file '{files[number]}' ended the process that loaded it, with code {code}."
            )
        else:
            raise RuntimeError(
                f"the process that timed {len(numbers)} files ended with code {code} and without "
                "an answer. Code -9 means that the system killed it, mostly for lack of memory."
            )
    return answers


def _run_worker(job: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Runs one worker; returns the last line it answered ({} for nonsense) and its exit code.

    The worker is killed if this process is interrupted, and ends by itself if this process is
    killed.
    """
    compiling_s = _COMPILE_S * len(job["files"]) if "environment" in job else 0.0
    timeout_s = _PATIENCE_S + compiling_s + 3 * job["budget_s"]
    pipe = subprocess.PIPE
    environment = {**os.environ, **search_path()}
    with subprocess.Popen(
        _WORKER_COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
    ) as worker:
        try:
            answer, noise = worker.communicate(json.dumps(job), timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            worker.kill()
            raise RuntimeError(
                f"the process that times {len(job['files'])} files had not ended after "
                f"{timeout_s:.0f} s and was stopped. Time fewer files at once."
            ) from error
        except BaseException:  # an interrupt, mostly; Popen would leave the worker running
            worker.kill()
            worker.wait()
            raise
    logger.debug("timing process wrote: %s", noise[-2000:])
    try:
        last = json.loads(answer.splitlines()[-1])
    except (IndexError, ValueError):
        return {}, worker.returncode
    return last if isinstance(last, dict) else {}, worker.returncode
