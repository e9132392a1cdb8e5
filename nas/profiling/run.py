"""`nas profile RUN`: what the files of a finished run take, why, and what they take elsewhere.

    efficiency/efficiency.json     of the run's own target: what it does at most here; by file its
                                   latency, what it takes at least, what its time goes into
    portability/portability.json   by target, latencies of the front's and the references' deployed
                                   files, timed together

All are measured anew: latencies that are compared with peaks, or between targets, should be of one
sitting. What was measured on other targets before stays. The run's own cards and front do not
change.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.executors import make_timer
from nas.front.folders import DEPLOYED, FRONT, REFERENCES, onnx_files, timed_file
from nas.front.timing import SPARE_PROCESSES, TIMING_PROCESSES
from nas.latency.peaks import Peaks, measure_peaks, write_peak_files
from nas.profiling.kernels import Kernels, kernels_of
from nas.profiling.waterline import waterline_of
from nas.run.config import Config
from nas.run.directory import check_is_run, locked, read_config_of, read_front
from nas.run.growth import has_front
from nas.run.own_files import with_kept_files
from nas.system.environment import now
from nas.system.files import SCHEMA, make_folder, read_json, understood, write_json
from nas.system.reporter import Reporter
from nas.targets import ONNX, ChosenTarget, Timing, choose, one_text_each
from search_spaces import CandidateError, UserError, load_plugins

EFFICIENCY, PORTABILITY = "efficiency/efficiency.json", "portability/portability.json"
KERNELS_S = 0.3
"""Per file, for what its time goes into."""


def profile_run(path: Path, targets: Sequence[str], reporter: Reporter) -> dict[str, Any]:
    """Measure the files of a run, on its own target and on these.

    Args:
        path: A finished run.
        targets: Texts of other targets; the run's own may be among them.
        reporter: Told how far it is.

    Returns:
        What the two documents hold, "efficiency" (None where the run's target takes no ONNX files)
        and "portability".

    Raises:
        UserError: If the run is not finished, its files have gone, or a target is unknown.
    """
    check_is_run(path)
    if not has_front(path):
        raise UserError(f"run '{path}' is not finished. Continue it with its `nas search` first.")
    config = read_config_of(path)
    load_plugins(with_kept_files(path, config).plugins)
    own = choose(config.target, threads=config.timing_threads)
    others = [text for text in one_text_each(targets, 1) if text != own.text]
    folders = _folders(path)
    lock = locked(path)
    try:
        known = _measured_before(path / PORTABILITY)
        reporter.phase("latency", f"timing {len(folders)} networks on {own.text}")
        timings, peaks = _with_peaks(own, [f / name for f in folders for name in onnx_files(f)])
        efficiency = None
        if peaks is not None:
            efficiency = _efficiency(own, timings, peaks, reporter)
            make_folder((path / EFFICIENCY).parent)
            write_json(path / EFFICIENCY, efficiency)
        portability = _portability(own, others, folders, timings, reporter)
        portability["targets"] = {**known, **portability["targets"]}
        make_folder((path / PORTABILITY).parent)
        write_json(path / PORTABILITY, portability)
    finally:
        lock.release()
    return {"efficiency": efficiency, "portability": portability}


def _folders(path: Path) -> list[Path]:
    """Of the networks of the front, then of the references beside it."""
    front = read_front(path)
    beside = [row["key"] for row in front["references"] if row["key"] not in front["members"]]
    folders = [path / FRONT / key for key in front["members"]]
    folders += [path / REFERENCES / key for key in beside]
    missing = [folder for folder in folders if not (folder / DEPLOYED).is_file()]
    if missing or not folders:
        what = f"'{missing[0]}' has no {DEPLOYED}" if missing else "its front is empty"
        raise UserError(
            f"run '{path}': {what}. Files of networks are measured again: restore them, or search "
            "again."
        )
    return folders


def _timed(chosen: ChosenTarget, files: Sequence[Path]) -> dict[Path, Timing | CandidateError]:
    """Latency of what stands for these ONNX files on a target."""
    timer = make_timer(Config(), chosen.text)
    there = [file.parent / timed_file(file.name, timer.artefact) for file in files]
    timings = timer(there, processes=TIMING_PROCESSES, spares=SPARE_PROCESSES)
    return dict(zip(files, timings, strict=True))


def _with_peaks(
    own: ChosenTarget, files: Sequence[Path]
) -> tuple[dict[Path, Timing | CandidateError], Peaks | None]:
    """Latencies on the run's target, and what that does at most, measured in the same processes.

    One after the other where calls have several images; no peaks where it takes no ONNX files.
    """
    if own.target.artefact != ONNX:
        return _timed(own, files), None
    if own.batch > 1:
        return _timed(own, files), measure_peaks(own, make_timer(Config(), own.of_one_image().text))
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        made = write_peak_files(own, Path(folder))
        timings = _timed(own, [*files, *made.files])
    peak_timings = made.timings([timings.pop(file) for file in made.files])
    return timings, made.peaks([timing.median_ms for timing in peak_timings])


def _efficiency(
    own: ChosenTarget,
    timings: Mapping[Path, Timing | CandidateError],
    peaks: Peaks,
    reporter: Reporter,
) -> dict[str, Any]:
    reporter.phase("kernels", "timing operators, apart")
    files = []
    for number, (file, timing) in enumerate(timings.items(), start=1):
        if isinstance(timing, Timing):
            files.append(_of_file(own, file, timing, peaks))
        reporter.advance(number, len(timings), file.parent.name)
    return {
        "schema": SCHEMA,
        "target": own.text,
        "measured_at": now(),
        "peaks": peaks.to_json(),
        "files": files,
    }


def _of_file(own: ChosenTarget, file: Path, timing: Timing, peaks: Peaks) -> dict[str, Any]:
    """What a file takes, what it would at least, and what its time goes into."""
    line = waterline_of(file, peaks, batch=own.batch)
    kernels = kernels_of(file, own, budget_s=KERNELS_S)
    document: dict[str, Any] = {
        "key": file.parent.name,
        "file": file.name,
        "latency": timing.to_json(),
        "classes": [asdict(each) for each in kernels.classes]
        if isinstance(kernels, Kernels)
        else [],
    }
    if isinstance(line, str):
        return {**document, "unknown": line}
    return {**document, "efficiency": line.ideal_ms / timing.median_ms, **line.to_json()}


def _measured_before(place: Path) -> dict[str, Any]:
    """By target what an earlier call has measured.

    Raises:
        UserError: If its document is damaged.
    """
    with understood(f"'{place}'"):
        return dict(read_json(place)["targets"]) if place.exists() else {}


def _portability(
    own: ChosenTarget,
    others: Sequence[str],
    folders: Sequence[Path],
    timings: Mapping[Path, Timing | CandidateError],
    reporter: Reporter,
) -> dict[str, Any]:
    """Latencies on the run's own target, which are known, and on others."""
    deployed = [folder / DEPLOYED for folder in folders]
    found = {own.text: _json({file: timings[file] for file in deployed})}
    for text in others:
        reporter.phase("latency", f"timing {len(folders)} networks on {text}")
        found[text] = _json(_timed(choose(text), deployed))
    return {"schema": SCHEMA, "own": own.text, "targets": found}


def _json(timings: Mapping[Path, Timing | CandidateError]) -> dict[str, Any]:
    """By key the latency, or why there is none."""
    return {
        file.parent.name: timing.to_json()
        if isinstance(timing, Timing)
        else {"failure": " ".join(str(timing).split())[:300]}
        for file, timing in timings.items()
    }
