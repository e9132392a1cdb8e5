"""Latencies of exported files: measured together, recorded before they are used.

timings/<key>.<file>.json    of one file; in a folder of its own where all were timed again

The files are ONNX files, or what stands for them where the target takes something else.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nas.front.folders import onnx_files, timed_file, without_folder
from nas.run.directory import Run
from nas.system.files import read_json, understood
from nas.targets import Timer, Timing
from search_spaces import CandidateError

TIMING_PROCESSES, SPARE_PROCESSES = 5, 5


def call_of(keys: Sequence[str]) -> str:
    """Name of a call in which all of these networks are timed again."""
    return hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()[:8]


def timed(
    run: Run,
    folders: Sequence[Path],
    call: str,
    timer: Timer,
    progress: Callable[[str], None],
) -> dict[str, Timing | CandidateError]:
    """Latency of every network of the folders, by "key/file" of the file that was timed.

    Args:
        run: Where it is recorded.
        folders: Of networks.
        call: As `call_of` names it; "" for the first timing of each file.
        timer: Times files.
        progress: Told that timing begins.
    """
    files = [
        folder / timed_file(name, timer.artefact)
        for folder in folders
        for name in onnx_files(folder)
    ]
    waiting = [file for file in files if not (run.path / _record(file, call)).exists()]
    if waiting:
        progress(f"timing {len(waiting)} files, {TIMING_PROCESSES} times each")
        timings = timer(waiting, processes=TIMING_PROCESSES, spares=SPARE_PROCESSES)
        for file, timing in zip(waiting, timings, strict=True):
            document = (
                {"failure": without_folder(str(timing), file.parent)}
                if isinstance(timing, CandidateError)
                else timing.to_json()
            )
            run.decided(_record(file, call), partial(dict, document))
    return {f"{f.parent.name}/{f.name}": _read(run.path / _record(f, call)) for f in files}


def _record(file: Path, call: str) -> str:
    return str(Path("timings", call, f"{file.parent.name}.{file.name}.json"))


def _read(path: Path) -> Timing | CandidateError:
    document = read_json(path)
    with understood(f"'{path}'"):
        if "failure" in document:
            return CandidateError(document["failure"])
        return Timing.from_json(document)
