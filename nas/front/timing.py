"""Latencies of exported files: measured together, recorded before they are used.

timings/<key>.<file>.json    of one file; in a folder of its own where all were timed again, and on
                             each target but the first

The files are ONNX files, or what stands for them where the target takes something else. Equal ones,
as those of networks that differ in formats alone are before quantization, are timed once.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from nas.front.folders import onnx_files, timed_file, without_folder
from nas.problem.budget import metric_on
from nas.run.directory import Run
from nas.system.files import digest_of, read_json, understood
from nas.targets import Timer, Timing
from nas.targets._conditions import said_of_others
from search_spaces import CandidateError

TIMING_PROCESSES, SPARE_PROCESSES = 5, 5
UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
"""What names of folders on any system do without."""


def call_of(keys: Sequence[str]) -> str:
    """Name of a call in which all of these networks are timed again."""
    return hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()[:8]


def timed(
    run: Run,
    folders: Sequence[Path],
    call: str,
    timers: Mapping[str, Timer],
    progress: Callable[[str], None],
) -> dict[str, Timing | CandidateError]:
    """Latency of every network of the folders, by "key/file" of the file that was timed.

    On other targets than the first by "key/file@target".

    Args:
        run: Where it is recorded.
        folders: Of networks.
        call: As `call_of` names it; "" for the first timing of each file.
        timers: Time files, by target; the first one's is the latency of the search.
        progress: Told that timing begins.
    """
    found: dict[str, Timing | CandidateError] = {}
    for number, (target, timer) in enumerate(timers.items()):
        other = target if number else ""
        place = str(Path(folder_on(other), call))
        timings = _timed_on_one(run, folders, place, timer, progress)
        found |= {metric_on(name, other): timing for name, timing in timings.items()}
    return found


def folder_on(target: str) -> str:
    """The folder of timings on a target; "" is the first one."""
    return f"on-{UNSAFE.sub('_', target)}" if target else ""


def _timed_on_one(
    run: Run,
    folders: Sequence[Path],
    place: str,
    timer: Timer,
    progress: Callable[[str], None],
) -> dict[str, Timing | CandidateError]:
    """Latency of every network of the folders on one target, by "key/file".

    Args:
        run: Where it is recorded.
        folders: Of networks.
        place: Folder for the records.
        timer: Times files.
        progress: Told that timing begins.
    """
    files = [
        folder / timed_file(name, timer.artefact)
        for folder in folders
        for name in onnx_files(folder)
    ]
    waiting = [file for file in files if not (run.path / _record(file, place)).exists()]
    if waiting:
        equal: dict[str, list[Path]] = {}
        for file in waiting:
            equal.setdefault(digest_of(file), []).append(file)
        progress(f"timing {len(equal)} files, {TIMING_PROCESSES} times each")
        first = [files[0] for files in equal.values()]
        timings = timer(first, processes=TIMING_PROCESSES, spares=SPARE_PROCESSES)
        if text := said_of_others(_others(timings)):
            text = f"latency was {text}; ratios hold, milliseconds less so"
            run.event("finalists", "message", text=text)
            progress(text)
        for same, timing in zip(equal.values(), timings, strict=True):
            document = (
                {"failure": without_folder(str(timing), same[0].parent)}
                if isinstance(timing, CandidateError)
                else timing.to_json()
            )
            for file in same:
                run.decided(_record(file, place), partial(dict, document))
    return {f"{f.parent.name}/{f.name}": _read(run.path / _record(f, place)) for f in files}


def _others(timings: Sequence[Timing | CandidateError]) -> float | None:
    """Processors that others kept busy while files were timed together."""
    return next((timing.others for timing in timings if isinstance(timing, Timing)), None)


def _record(file: Path, place: str) -> str:
    return str(Path("timings", place, f"{file.parent.name}.{file.name}.json"))


def _read(path: Path) -> Timing | CandidateError:
    document = read_json(path)
    with understood(f"'{path}'"):
        if "failure" in document:
            return CandidateError(document["failure"])
        return Timing.from_json(document)
