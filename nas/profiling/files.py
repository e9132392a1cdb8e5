"""`nas profile FILES`: timed against each other, then what their time goes into, then written.

Beside what a file takes stands what it would take at least (`nas.profiling.waterline`).
"""

import csv
import io
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nas.data._load import DEFAULT_CACHE
from nas.executors import make_timer
from nas.latency.peaks import Peaks, is_impossible, peaks_of
from nas.prepare.given_profile import ASKED, DOCUMENT
from nas.profiling.compare import NARROW, Comparison, Pair, compare, width_of
from nas.profiling.kernels import SLOWEST, Kernels, kernels_of
from nas.profiling.model_file import ModelFile, read_files
from nas.profiling.waterline import Waterline, waterline_of
from nas.run.config import Config
from nas.system.environment import environment, usable_cores
from nas.system.files import SCHEMA, make_folder, write_json, write_text
from nas.system.reporter import Reporter
from nas.targets import ONNX, AbstractRuntime, ChosenTarget
from nas.targets._conditions import drift, mean_others, said_of, spread
from search_spaces import CandidateError, Sides, UserError

KERNELS_SHARE, KERNELS_S = 0.1, 0.5
"""Of the time, for what the files' time goes into; and at most so many seconds per file."""

SAMPLES = "samples.csv"


@dataclass(frozen=True, kw_only=True)
class FilesProfile:
    """Files that were timed together.

    Attributes:
        chosen: The target.
        files: In the order given.
        comparison: Their latencies.
        kernels: By file, what its time goes into, or why that is not known.
        peaks: What the target does at most.
        waterlines: By file, what it takes at least, or why that is not known.
    """

    chosen: ChosenTarget
    files: tuple[ModelFile, ...]
    comparison: Comparison
    kernels: tuple[Kernels | CandidateError, ...]
    peaks: Peaks
    waterlines: tuple[Waterline | str, ...]

    def efficiency(self, number: int) -> float | None:
        """Of a file, what its multiply-adds take at the peak as a share of what it takes."""
        line = self.waterlines[number]
        if isinstance(line, str):
            return None
        return line.ideal_ms / self.comparison.timings[number].median_ms

    def pair(self, first: int, second: int) -> Pair:
        """Of two files, by their numbers from 0, the smaller first."""
        return next(
            pair for pair in self.comparison.pairs if (pair.first, pair.second) == (first, second)
        )

    def sentences(self) -> list[str]:
        """On how far the numbers go, and on what disturbed them."""
        found, (first, *_) = self.comparison, self.comparison.timings
        how = [f"{first.threads} thread{'s' * (first.threads > 1)}", f"batch {first.batch}"]
        how += [first.options] if first.options else []
        narrow = "all" if found.width <= NARROW else "not all"
        sentences = [
            f"{first.runtime} {first.version}, {', '.join(how)}; "
            f"{len(found.blocks)} fresh processes in {found.seconds:.0f} s on {first.cpu}",
            f"the widest 95 % interval is {found.width:.1%} of its median; {narrow} intervals are "
            f"within {NARROW:.0%}{'' if found.width <= NARROW else ': more --time narrows them'}",
        ]
        two = [str(n + 1) for n, timing in enumerate(found.timings) if timing.is_bimodal]
        if two:
            sentences.append(
                f"file {', '.join(two)} has two latencies: processes fall into groups over 10 % "
                "apart, and the next process may have either"
            )
        numbers = range(len(self.files))
        if too_fast := [str(n + 1) for n in numbers if is_impossible(self.efficiency(n))]:
            sentences.append(
                f"file {', '.join(too_fast)} is faster than the peaks allow, so the machine was "
                f"slower when they were measured ({self.peaks.measured_at}). Delete "
                f"{DEFAULT_CACHE}/peaks-*.json to measure them again"
            )
        sentences.append(f"at most: {self.peaks.said()}")
        return [*sentences, *said_of(found.kept_blocks, found.left_out)]

    def to_json(self) -> dict[str, Any]:
        """All but the samples."""
        found, target = self.comparison, self.chosen.target
        return {
            "schema": SCHEMA,
            "target": self.chosen.text,
            "seconds": round(found.seconds, 1),
            "files": [self._file_json(number) for number in range(len(self.files))],
            "pairs": [asdict(pair) for pair in found.pairs],
            "widest_interval": found.width,
            "narrow_at": NARROW,
            "others": mean_others(found.kept_blocks),
            "drift": drift(found.kept_blocks),
            "spread": spread(found.kept_blocks),
            "sentences": self.sentences(),
            "peaks": self.peaks.to_json(),
            "cores": usable_cores(),
            "waits": target.waits if isinstance(target, AbstractRuntime) else "",
            "processes": [
                {**asdict(block), "is_left_out": number not in found.kept}
                for number, block in enumerate(found.blocks)
            ],
            "environment": environment(),
        }

    def _file_json(self, number: int) -> dict[str, Any]:
        file, kernels = self.files[number], self.kernels[number]
        timing = self.comparison.timings[number]
        document: dict[str, Any] = {
            "file": str(file.path),
            "bytes": file.num_bytes,
            "macs": file.macs,
            "macs_unknown": file.uncounted,
            "latency": timing.to_json(),
            "interval_width": width_of(timing),
        }
        line = self.waterlines[number]
        if isinstance(line, str):
            document["waterline_unknown"] = line
        else:
            document |= {"efficiency": self.efficiency(number), "waterline": line.to_json()}
        if isinstance(kernels, CandidateError):
            return {**document, "kernels_unknown": str(kernels)}
        return {
            **document,
            "integer_kernels": kernels.integer,
            "classes": [asdict(each) for each in kernels.classes],
            "slowest": [asdict(node) for node in kernels.nodes[:SLOWEST]],
        }


def profile_files(
    paths: Sequence[Path],
    *,
    chosen: ChosenTarget,
    resolution: Sides | None,
    seconds: float,
    reporter: Reporter,
) -> FilesProfile:
    """Time files against each other, and see what their time goes into.

    Args:
        paths: Of ONNX files; not changed. One that is given twice is timed twice.
        chosen: The target.
        resolution: Height and width of images, for files that leave them open.
        seconds: For all of it.
        reporter: Told how far it is.

    Raises:
        UserError: If a file cannot be timed there.
        RuntimeError: If a timing process hangs or dies.
    """
    artefact = chosen.target.artefact
    if artefact != ONNX:
        raise UserError(
            f"target '{chosen.name}' takes {artefact} files, and `nas profile` times ONNX files. "
            "Give another --target."
        )
    kernels_s = min(KERNELS_S, KERNELS_SHARE * seconds / len(paths))
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        files = read_files(paths, batch=chosen.batch, resolution=resolution, folder=Path(folder))
        comparison = _compared(files, chosen, seconds - kernels_s * len(files), reporter)
        reporter.phase("kernels", "timing operators, apart")
        found = {
            file.path: kernels_of(file.timed, chosen, budget_s=kernels_s)
            for file in dict.fromkeys(files)
        }
        reporter.phase("peaks", "what the machine does at most")
        timer = make_timer(Config(), chosen.of_one_image().text)
        peaks = peaks_of(chosen, timer, DEFAULT_CACHE)
        lines = {
            file.path: waterline_of(file.timed, peaks, batch=chosen.batch)
            for file in dict.fromkeys(files)
        }
    return FilesProfile(
        chosen=chosen,
        files=tuple(files),
        comparison=comparison,
        kernels=tuple(found[file.path] for file in files),
        peaks=peaks,
        waterlines=tuple(lines[file.path] for file in files),
    )


def _compared(
    files: Sequence[ModelFile], chosen: ChosenTarget, seconds: float, reporter: Reporter
) -> Comparison:
    """Files timed against each other, for so many seconds at most."""
    what = "1 file" if len(files) == 1 else f"{len(files)} files"
    reporter.phase("profile", f"timing {what} for up to {seconds:.0f} s")

    def progress(processes: int, width: float) -> None:
        text = f"{processes} processes, widest interval {width:.1%}"
        reporter.advance(min(99, round(100 * NARROW / max(width, NARROW))), 100, text)

    timed = [file.timed for file in files]
    try:
        return compare(timed, chosen=chosen, seconds=seconds, progress=progress)
    except UserError as error:
        raise UserError(_as_given(str(error), files)) from error


def _as_given(text: str, files: Sequence[ModelFile]) -> str:
    """A text with the files' names as the user gave them, who has not seen the copies."""
    for file in files:
        text = text.replace(str(file.timed.resolve()), str(file.path))
    return text


def check_folder(folder: Path) -> None:
    """See that a folder can hold a profile of files; an earlier one of such is replaced.

    Raises:
        UserError: If it is the profile of a search space, which searches use.
    """
    if (folder / ASKED).exists():
        raise UserError(
            f"profile '{folder}' is that of a search space, and this one would take its place. "
            "Name another folder with --out."
        )


def write_profile(found: FilesProfile, folder: Path) -> None:
    """Write the numbers and all samples that they come from.

    Args:
        found: What is written.
        folder: For profile.json and samples.csv, which are replaced.
    """
    make_folder(folder)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("number", "file", "process", "sample", "ms"))
    for number, file in enumerate(found.files):
        for process, samples_ms in enumerate(found.comparison.samples_ms[number]):
            rows = enumerate(samples_ms)
            writer.writerows((number + 1, file.path, process, i, ms) for i, ms in rows)
    write_text(folder / SAMPLES, text.getvalue())
    write_json(folder / DOCUMENT, found.to_json())
