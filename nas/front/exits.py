"""Asking files with early exits, and timing them on images, in fresh processes.

What such a file takes depends on the image, so it is timed on images of the search split, one at a
time, beside the file of the network without exits. A process's number is the mean over the images;
the rest is the protocol of `nas/targets/_timing.py`: several processes, the median over them, spare
ones where the machine was disturbed.

Shapes: N images, C channels, H W space.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.front import timing
from nas.front.verify import Worker, asking
from nas.system.environment import now
from nas.targets import Timing, choose
from nas.targets._conditions import Block, mean_others, watched
from nas.targets._timing import Row, fastest, is_undisturbed, summarise
from supernets._search_path import search_path

COMMAND = (sys.executable, "-m", "nas.front._exits_worker")
BATCH = 64
RUNTIME = "onnxruntime"


def answers_of(
    file: Path,
    rule: Mapping[str, Any],
    images_NCHW: np.ndarray,
    *,
    batch: int = BATCH,
    threads: int = 1,
) -> list[np.ndarray]:
    """What a file gives for images, an array per output.

    Args:
        file: An ONNX file.
        rule: The card's `input`.
        images_NCHW: uint8.
        batch: Images at a time.
        threads: Of the process.

    Raises:
        CandidateError: If it cannot be run.
    """
    job = {**_job(rule, images_NCHW, threads), "file": str(file.resolve()), "batch": batch}
    found: list[list[np.ndarray]] = []
    with asking(COMMAND, **search_path()) as worker:
        _send(worker, job)
        for start in range(0, len(images_NCHW), batch):
            worker.send(images_NCHW[start : start + batch].tobytes())
            found.append([worker.numbers(shape) for shape in worker.line()["shapes"]])
        _require_no_torch(worker)
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def mean_times(
    files: Sequence[Path], rule: Mapping[str, Any], images_NCHW: np.ndarray, *, threads: int = 1
) -> list[Timing]:
    """Mean latency over images of each file, one image at a time.

    Args:
        files: ONNX files.
        rule: The card's `input`.
        images_NCHW: uint8.
        threads: Threads that one call may use.

    Returns:
        One per file; what a `Timing` says of a process's median is said of its mean over images.

    Raises:
        CandidateError: If one cannot be run.
    """
    processes, measured_at = timing.TIMING_PROCESSES, now()
    version = choose(RUNTIME).target.describe()["version"]
    rows: dict[int, list[Row]] = {number: [] for number in range(len(files))}
    blocks: list[Block] = []
    paths = [str(file.resolve()) for file in files]
    job = {**_job(rule, images_NCHW, threads), "files": paths}
    for process in range(processes + timing.SPARE_PROCESSES):
        if process >= processes and is_undisturbed(rows, blocks, processes):
            break
        one = {**job, "seed": process}
        blocks.append(watched(partial(_time_once, one, images_NCHW, rows)))
    kept = fastest(rows, processes)
    return [
        summarise(
            [of_file[process] for process in kept],
            threads=threads,
            batch=1,
            discarded=len(of_file) - len(kept),
            measured_at=measured_at,
            others=mean_others([blocks[process] for process in kept]),
            runtime=RUNTIME,
            version=version,
        )
        for of_file in rows.values()
    ]


def _time_once(
    job: Mapping[str, Any], images_NCHW: np.ndarray, rows: Mapping[int, list[Row]]
) -> None:
    """One process more: a row for every file."""
    with asking(COMMAND, **search_path()) as worker:
        _send(worker, job)
        worker.send(images_NCHW.tobytes())
        found = worker.line()["ms"]
        _require_no_torch(worker)
    for number, ms in enumerate(found):
        low, high = np.quantile(ms, [0.25, 0.75])
        row = {"median_ms": float(np.mean(ms)), "iqr_ms": float(high - low), "runs": len(ms)}
        rows[number].append(row)


def _job(rule: Mapping[str, Any], images_NCHW: np.ndarray, threads: int) -> dict[str, Any]:
    num_images, *shape = images_NCHW.shape
    return {"threads": threads, "input": dict(rule), "images": num_images, "shape": shape}


def _send(worker: Worker, job: Mapping[str, Any]) -> None:
    worker.send(json.dumps(job).encode() + b"\n")


def _require_no_torch(worker: Worker) -> None:
    """What the runtime alone answers needs no torch."""
    assert "torch" not in worker.line(), "the worker imports nothing that imports torch"
