"""What a target does at most on this machine: multiply-adds and bytes per second.

Measured by the target's own kernels: large matrix products in fp32 and, where the target has such,
of eight-bit integers; and additions of two tensors. Additions come in several sizes, because
networks of one image stay in caches, whose bandwidth is several times that of the memory: a kernel
is held against what an addition reaches that moves as many bytes. What calling the runtime takes by
itself is measured beside them.

They are measured once and kept, `runs/.cache/peaks-<digest>.json`, by what they depend on: target,
its options, threads, runtime, version, processor. The fastest of three processes counts. Where
latencies are measured anew anyway, peaks are, too, in the same processes.

Source: Williams, Waterman, Patterson, Roofline (2009); by levels of caches: Ilic, Pratas, Sousa,
Cache-aware Roofline Model (2014). Peaks are what this runtime reaches and not what the processor
could, and levels of caches are sizes.
"""

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from nas.system.environment import now
from nas.system.files import SCHEMA, make_folder, read_json, understood, write_json
from nas.targets import ONNX, ChosenTarget, Timer, Timing
from search_spaces import CandidateError, UserError

PROCESSES, SECONDS = 3, 0.3
"""The seconds are for the rounds; three rounds happen in any case."""

FLOATS, INTEGERS = "fp32", "int8"

LARGEST_EFFICIENCY = 1.05
"""Beyond, peaks and latency were not measured on one machine at one speed."""


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """What a target does at most on this machine.

    Attributes:
        macs_per_s: By kind of kernel, "fp32" or "int8", multiply-adds per second.
        bandwidth: Pairs, the smaller number first: bytes that an addition reads and writes, and
            how many of these per second.
        call_ms: What a call takes in which nothing is computed.
        place: What they depend on.
        measured_at: When, ISO 8601.
    """

    macs_per_s: Mapping[str, float]
    bandwidth: tuple[tuple[float, float], ...]
    call_ms: float
    place: Mapping[str, Any]
    measured_at: str

    def bytes_per_s(self, num_bytes: float) -> float:
        """Of a kernel that moves so many bytes; between two sizes along a line of logarithms."""
        sizes, speeds = zip(*self.bandwidth, strict=True)
        at = np.interp(np.log(max(num_bytes, 1.0)), np.log(sizes), np.log(speeds))
        return float(np.exp(at))

    @property
    def start_ms(self) -> float:
        """What the smallest addition takes, and so any kernel: starting it."""
        num_bytes, speed = self.bandwidth[0]
        return 1e3 * num_bytes / speed

    def of_kernel(self, *, is_integer: bool) -> float:
        """Multiply-adds per second; of fp32 where no integer kernels were timed."""
        floats = self.macs_per_s[FLOATS]
        return self.macs_per_s.get(INTEGERS, floats) if is_integer else floats

    def said(self) -> str:
        """In a line: "fp32 53.1, int8 214 GMACs/s; 61 GB/s for 98 kB, ...; an empty call 8 us"."""
        products = ", ".join(f"{name} {speed / 1e9:.3g}" for name, speed in self.macs_per_s.items())
        moved = ", ".join(
            f"{speed / 1e9:.3g} GB/s for {_size(size)}" for size, speed in self.bandwidth[1:]
        )
        return f"{products} GMACs/s; {moved}; an empty call {1e3 * self.call_ms:.3g} us"

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` wrote.

        Raises:
            LookupError, TypeError, ValueError: If it is something else.
        """
        return cls(
            macs_per_s={name: float(v) for name, v in document["macs_per_s"].items()},
            bandwidth=tuple((float(a), float(b)) for a, b in document["bandwidth"]),
            call_ms=float(document["call_ms"]),
            place=document["place"],
            measured_at=str(document["measured_at"]),
        )


def kept_peaks(chosen: ChosenTarget, cache: Path) -> Peaks | None:
    """What was measured here before; None where nothing was.

    Raises:
        UserError: If what was kept is damaged.
    """
    file = _file(chosen, cache)
    if not file.is_file():
        return None
    with understood(f"'{file}'"):
        return Peaks.from_json(read_json(file))


def peaks_of(chosen: ChosenTarget, timer: Timer, cache: Path) -> Peaks:
    """As kept, or measured now and kept.

    Args:
        chosen: The target; its batch does not matter.
        timer: Times files on it with one image per call.
        cache: Folder for what is kept.

    Raises:
        UserError: If it takes no ONNX files, cannot run one of ours, or what was kept is damaged.
    """
    found = kept_peaks(chosen, cache)
    if found is None:
        found = measure_peaks(chosen, timer)
        with suppress(OSError, UserError):  # where nothing can be written, nothing is kept
            write_json(make_folder(cache) / _file(chosen, cache).name, found.to_json())
    return found


def is_impossible(efficiency: float | None) -> bool:
    """Whether no machine can have it: it is at most 1, but for noise."""
    return efficiency is not None and efficiency > LARGEST_EFFICIENCY


@dataclass(frozen=True, kw_only=True)
class PeakFiles:
    """Files whose latencies say what a target does at most.

    Attributes:
        chosen: The target, which is called with one image.
        files: To be timed.
        macs: Of those that multiply, which come second, by kind of kernel.
        moved: Of those that add, which come last: bytes by what one addition moves.
    """

    chosen: ChosenTarget
    files: tuple[Path, ...]
    macs: Mapping[str, int]
    moved: Mapping[int, int]

    def peaks(self, times_ms: Sequence[float]) -> Peaks:
        """What their latencies say; in milliseconds, in the order of the files."""
        call_ms, *rest_ms = times_ms
        products_ms, additions_ms = rest_ms[: len(self.macs)], rest_ms[len(self.macs) :]
        return Peaks(
            macs_per_s={
                name: 1e3 * number / max(ms - call_ms, 1e-9)
                for (name, number), ms in zip(self.macs.items(), products_ms, strict=True)
            },
            bandwidth=tuple(
                (size, 1e3 * total / max(ms - call_ms, 1e-9))
                for (size, total), ms in zip(self.moved.items(), additions_ms, strict=True)
            ),
            call_ms=call_ms,
            place=self.chosen.of_one_image().place(),
            measured_at=now(),
        )

    def timings(self, found: Sequence[Timing | CandidateError]) -> list[Timing]:
        """Theirs, if the target could run all.

        Raises:
            UserError: If not.
        """
        timings = [timing for timing in found if isinstance(timing, Timing)]
        for file, timing in zip(self.files, found, strict=True):
            if not isinstance(timing, Timing):
                raise UserError(
                    f"target '{self.chosen.text}' cannot run '{file.name}', of which its peaks are "
                    f"measured: {timing}. Give another --target."
                )
        return timings


def write_peak_files(chosen: ChosenTarget, folder: Path) -> PeakFiles:
    """Files to be timed on a target, alone or beside others.

    Args:
        chosen: The target, which is called with one image.
        folder: For the files.

    Raises:
        UserError: If it takes no ONNX files.
    """
    from nas.latency import _peak_files as peak_files  # imports torch, which reports do without

    if chosen.target.artefact != ONNX:
        raise UserError(
            f"target '{chosen.name}' takes {chosen.target.artefact} files, and what a machine does "
            "at most is measured with ONNX files. Give another --target."
        )
    nothing, floats, integers = (folder / f"peak-{name}.onnx" for name in "nfi")
    peak_files.write_nothing(nothing)
    macs, files = {FLOATS: peak_files.write_products(floats)}, [nothing, floats]
    if chosen.target.offers(INTEGERS):
        macs[INTEGERS] = peak_files.write_integer_products(integers)
        files.append(integers)
    moved = {}
    for tensor_bytes in peak_files.ADDITIONS:
        files.append(folder / f"peak-{tensor_bytes}.onnx")
        size = peak_files.TENSORS * tensor_bytes
        moved[size] = size * peak_files.write_additions(files[-1], tensor_bytes)
    return PeakFiles(chosen=chosen, files=tuple(files), macs=macs, moved=moved)


def measure_peaks(chosen: ChosenTarget, timer: Timer) -> Peaks:
    """Measured now, in some seconds.

    Args:
        chosen: The target; its batch does not matter.
        timer: Times files on it with one image per call.

    Raises:
        UserError: If it takes no ONNX files, or cannot run one of ours.
    """
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        made = write_peak_files(chosen, Path(folder))
        timings = made.timings(timer(made.files, processes=PROCESSES, budget_s=SECONDS))
    return made.peaks([min(timing.process_medians_ms) for timing in timings])


def _file(chosen: ChosenTarget, cache: Path) -> Path:
    text = json.dumps([SCHEMA, chosen.of_one_image().place()], sort_keys=True)
    return cache / f"peaks-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"
