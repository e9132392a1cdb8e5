"""Timing the files of a profile: export, time, record, delete."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compress.apply import quantize
from compress.artefact import write_artefact
from nas.latency._peak_files import write_nothing
from nas.latency._rows import OVERHEAD, Row
from nas.targets import ONNX, Artefact, Timer, Timing, paired_ratio
from search_spaces import CandidateError, SearchSpace, Slot, input_shape
from supernets._worker import in_processes
from supernets.fold import folded
from supernets.network import PlainNetwork

FILES_PER_BATCH = 46
"""As many as the profile of a search of five minutes has."""

PROCESSES = 3
BATCH_BUDGET_S = 16.0

Job = tuple[str, Sequence[Slot], tuple[int, ...] | None]
"""Name of a row, slots of the file, and the network that they are."""


def measure_rows(
    space: SearchSpace,
    signatures: Sequence[Slot],
    networks: Sequence[tuple[int, ...]],
    *,
    timer: Timer,
    known: Sequence[Row],
    record: Callable[[Row], None],
    progress: Callable[[int, int], None] = lambda done, of: None,
    is_late: Callable[[], bool] = lambda: False,
) -> list[Row]:
    """A row for every slot and network that the target can run.

    Weights are random: latency does not depend on them. With every batch of files the anchor is
    timed, the middle one of the networks by multiply-adds; a row's latency is the median over
    processes of its ratio to the anchor's, times the anchor's median.

    Args:
        space: Of the networks.
        signatures: Slots to time alone.
        networks: Encodings to time whole.
        timer: Times files on the target. Without ONNX files nothing says what a call costs by
            itself.
        known: Rows of an earlier, interrupted call; they are not measured again.
        record: Called with each new row, before this function uses it.
        progress: Called with files done and files in all.
        is_late: Asked before each batch of files whether the time is up. Slots and networks take
            turns, so that a part of the batches is a smaller profile of the same kind.
    """
    jobs = _jobs(signatures, networks, space)
    if timer.artefact != ONNX:
        jobs = [job for job in jobs if job[0] != OVERHEAD]
    rows = list(known)
    done = {row.name for row in rows}
    waiting = [job for job in jobs if job[0] not in done]
    anchor = space.slots(middle_network(space, networks))
    progress(len(jobs) - len(waiting), len(jobs))
    for start in range(0, len(waiting), FILES_PER_BATCH):
        if is_late():
            break
        batch = waiting[start : start + FILES_PER_BATCH]
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{i}{timer.artefact}" for i in range(len(batch) + 1)]
            contents = [anchor, *(slots for _, slots, _ in batch)]
            exports = list(zip(contents, [files[-1], *files[:-1]], strict=True))
            _export_beside(exports, timer.artefact)
            *timings, beside = _timed(timer, files, BATCH_BUDGET_S)
        if not isinstance(beside, Timing):
            raise RuntimeError(f"the latency profile's anchor cannot be timed: {beside}")
        for (name, slots, encoding), timing in zip(batch, timings, strict=True):
            if not isinstance(timing, Timing):
                continue
            alone = slots[0] if slots and encoding is None else None
            latency_ms = beside.median_ms * paired_ratio(timing, beside)[0]
            row = Row(name, alone, encoding, latency_ms, beside.median_ms)
            record(row)
            rows.append(row)
        progress(len(jobs) - len(waiting) + start + len(batch), len(jobs))
    return rows


@dataclass(frozen=True)
class _Exports:
    """Writes files with random weights, in whichever process."""

    artefact: Artefact

    def __call__(self, job: tuple[Sequence[Slot], Path]) -> None:
        slots, file = job
        with suppress(CandidateError):  # no file, no timing
            if slots:
                export_random(slots, file, self.artefact)
            else:
                write_nothing(file)


def _export_beside(jobs: Sequence[tuple[Sequence[Slot], Path]], artefact: Artefact) -> None:
    """Write networks of some slots, or one that does nothing, to files; on all cores."""
    for _ in in_processes(_Exports(artefact), jobs, processes=torch.get_num_threads()):
        pass


def _timed(
    timer: Timer, files: Sequence[Path], budget_s: float
) -> list[Timing | CandidateError | None]:
    """The timings of those files that are there; None of the others."""
    there = [file for file in files if file.exists()]
    timings = timer(there, processes=PROCESSES, budget_s=budget_s) if there else []
    found = dict(zip(there, timings, strict=True))
    return [found.get(file) for file in files]


def middle_network(space: SearchSpace, networks: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The network whose multiply-adds are the median of these."""
    assert space.costs is not None
    macs_N = space.costs.of("macs", np.array(networks))
    return networks[int(np.argsort(macs_N, kind="stable")[len(networks) // 2])]


def time_networks(networks: Sequence[Sequence[Slot]], timer: Timer) -> list[Timing | None]:
    """The latency of whole networks with random weights, in their order; None if one cannot run."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i}{timer.artefact}" for i in range(len(networks))]
        for slots, file in zip(networks, files, strict=True):
            with suppress(CandidateError):
                export_random(slots, file, timer.artefact)
        timings = _timed(timer, files, 2.0)
    return [timing if isinstance(timing, Timing) else None for timing in timings]


def export_random(slots: Sequence[Slot], file: Path, artefact: Artefact = ONNX) -> None:
    """Write a network of these slots with random weights, quantized as they say."""
    generator = torch.Generator().manual_seed(0)
    network = folded(PlainNetwork(slots).eval())
    images = torch.rand(2, *input_shape(slots[0].signature), generator=generator)
    deployed = quantize(network, slots, [images]).network
    write_artefact(artefact, deployed, slots, file)


def _jobs(
    signatures: Sequence[Slot], networks: Sequence[tuple[int, ...]], space: SearchSpace
) -> list[Job]:
    alone: list[Job] = [(f"signature {i}", (slot,), None) for i, slot in enumerate(signatures)]
    whole: list[Job] = [
        (f"network {i}", space.slots(encoding), encoding) for i, encoding in enumerate(networks)
    ]
    places = [(i + 1) / (len(of) + 1) for of in (alone, whole) for i in range(len(of))]
    in_turn = [job for _, job in sorted(zip(places, [*alone, *whole], strict=True), key=_place)]
    return [(OVERHEAD, (), None), *in_turn]


def _place(placed: tuple[float, Job]) -> float:
    return placed[0]
