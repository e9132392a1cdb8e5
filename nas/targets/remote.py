"""The remote target: onnxruntime on another device, where `nas agent` runs.

The device times files as this machine would, by `_worker.py` in fresh processes; how many there
are, which count and what follows from them is decided here, by `_timing.py`. So every process is a
job of its own, and a lost connection costs one at most. Accuracy is that of onnxruntime here, with
the same file (docs/decisions/0072).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, final

from nas.system.files import DAMAGES, digest_of
from nas.system.typed import from_document
from nas.targets._agent import (
    DEFAULT_PORT,
    KERNELS,
    MOST_BUDGET_S,
    MOST_FILES,
    TIME,
    Device,
    Job,
    address_of,
)
from nas.targets._agent_client import AgentClient, RefusedFileError
from nas.targets._base import TARGETS, AbstractDevice, NodeTime, ProcessAnswers, Timing
from nas.targets._chosen import MOST_BATCH, choose
from nas.targets._conditions import Block
from nas.targets._onnx_wire import check_stands_alone
from nas.targets._timing import measure
from nas.targets.onnxruntime import OnnxRuntime
from search_spaces import CandidateError, UserError

CONDITIONS = tuple(field.name for field in fields(Block))
ROW = ("median_ms", "iqr_ms", "runs")


@TARGETS.register
@final
@dataclass(frozen=True, kw_only=True)
class Remote(AbstractDevice):
    """onnxruntime on another device, asked over the network.

    Attributes:
        address: Of the agent, HOST:PORT.
        batch: Images per call.
    """

    address: str = ""
    batch: int = 1

    kernels: ClassVar[frozenset[str]] = OnnxRuntime.kernels
    address_option: ClassVar[str] = "address"

    def __post_init__(self) -> None:
        if self.address:
            address_of(self.address)
        if not 1 <= self.batch <= MOST_BATCH:
            raise UserError(
                f"target 'remote': batch is {self.batch}. It must be from 1 to {MOST_BATCH}."
            )

    def describe(self) -> dict[str, str]:
        """See `AbstractTarget.describe`; of the device.

        Raises:
            UserError: If no agent answers.
        """
        device = self._device
        return {"runtime": device.runtime, "version": device.version}

    def machine(self) -> dict[str, str]:
        """See `AbstractTarget.machine`; the device."""
        device = self._device
        names = ("cpu", "instruction_set", "host")
        return {name: value for name, value in asdict(device).items() if name in names}

    def time(
        self,
        files: Sequence[Path],
        *,
        threads: int,
        processes: int,
        spares: int = 0,
        budget_s: float | None = None,
    ) -> list[Timing | CandidateError]:
        """See `AbstractDevice.time`."""
        text = choose(f"remote:{self.address},batch={self.batch},threads={threads}").text
        return measure(text, files, processes=processes, spares=spares, budget_s=budget_s)

    def time_process(
        self,
        files: Mapping[int, Path],
        *,
        threads: int,
        seed: int,
        budget_s: float,
        keeps_samples: bool,
    ) -> ProcessAnswers:
        """See `TimesProcesses.time_process`.

        Raises:
            UserError: If these are too many files, or the agent refuses what is asked.
        """
        if len(files) > MOST_FILES:
            raise UserError(
                f"target 'remote': {len(files)} files are to be timed together, and an agent takes "
                f"{MOST_FILES} at most. Time fewer at once."
            )

        def job(digests: Sequence[str]) -> Job:
            return Job(
                kind=TIME,
                files=tuple(digests),
                threads=threads,
                batch=self.batch,
                seed=seed,
                budget_s=min(budget_s, MOST_BUDGET_S),
                keeps_samples=keeps_samples,
            )

        answers, numbers, found = self._answered(files, job)
        if found is None:
            return ProcessAnswers(files=answers)
        with _understood(self.address):
            rows = found["files"]
            if len(rows) != len(numbers):
                raise ValueError(f"it has {len(rows)} rows for {len(numbers)} files")
            for number, row in zip(numbers, rows, strict=True):
                answers[number] = _row(row, files[number], keeps_samples=keeps_samples)
            conditions = _conditions(found["conditions"])
        return ProcessAnswers(files=answers, conditions=conditions)

    def integer_kernels(self, file: Path) -> int:
        """See `AbstractTarget.integer_kernels`; counted on the device."""
        return int(self._kernels(file, threads=1, batch=1, budget_s=0.0)["integer_kernels"])

    def node_times(
        self, file: Path, *, threads: int, batch: int, budget_s: float
    ) -> list[NodeTime]:
        """See `TimesNodes.node_times`; timed on the device."""
        found = self._kernels(file, threads=threads, batch=batch, budget_s=budget_s)
        with _understood(self.address):
            return [from_document(NodeTime, node) for node in found["nodes"]]

    @property
    def _device(self) -> Device:
        return self._client().device()

    def _client(self) -> AgentClient:
        if not self.address:
            raise UserError(
                "target 'remote' does not say where the device is. Start `nas agent` there and "
                f"write remote:HOST:PORT, such as --target remote:127.0.0.1:{DEFAULT_PORT}."
            )
        return AgentClient(self.address)

    def _kernels(self, file: Path, *, threads: int, batch: int, budget_s: float) -> dict[str, Any]:
        def job(digests: Sequence[str]) -> Job:
            return Job(
                kind=KERNELS,
                files=tuple(digests),
                threads=threads,
                batch=batch,
                seed=0,
                budget_s=budget_s,
            )

        failures, _, found = self._answered({0: file}, job)
        if found is None:
            raise failures[0]
        if "error" in found:
            raise _error(found["error"], file)
        with _understood(self.address):
            if not isinstance(found["integer_kernels"], int):
                raise ValueError(f"integer_kernels is {found['integer_kernels']!r:.40}")
            return found

    def _answered(
        self, files: Mapping[int, Path], job: Callable[[Sequence[str]], Job]
    ) -> tuple[dict[int, Any], list[int], dict[str, Any] | None]:
        """Files that are refused, numbers of the others, and the agent's answer on those.

        The answer is None if there are no others.
        """
        refused: dict[int, Any] = {}
        digests: dict[int, str] = {}
        for number, file in files.items():
            try:
                digests[number] = _digest(file)
            except CandidateError as error:
                refused[number] = error
        while digests:
            paths = {digest: files[number] for number, digest in digests.items()}
            try:
                return refused, list(digests), self._client().run(job([*digests.values()]), paths)
            except RefusedFileError as error:
                for number in [n for n, digest in digests.items() if digest == error.digest]:
                    refused[number] = _error(error.reason, files[number])
                    del digests[number]
        return refused, [], None


@contextmanager
def _understood(address: str) -> Iterator[None]:
    """Turns what an answer lacks, or has too much, into one message.

    Raises:
        UserError: Instead of the errors that reading it raises.
    """
    try:
        yield
    except DAMAGES as error:
        raise UserError(
            f"target 'remote:{address}': the answer of the agent cannot be read "
            f"({type(error).__name__}: {error}). Install the same version of pareto-nas on both "
            "sides."
        ) from error


def _digest(file: Path) -> str:
    """Of a file that an agent takes.

    Raises:
        CandidateError: If it takes no such file.
    """
    try:
        found = file.stat()
    except OSError as error:
        raise CandidateError(f"file '{file}' cannot be read: {error.strerror}") from error
    return _digest_of(file, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4096)
def _digest_of(file: Path, mtime_ns: int, num_bytes: int) -> str:
    check_stands_alone(file)
    return digest_of(file)


def _row(row: Any, file: Path, *, keeps_samples: bool) -> Mapping[str, Any] | CandidateError:
    """What one process measured of a file, or why it did not.

    Raises:
        ValueError: If it is neither.
    """
    if "error" in row:
        return _error(row["error"], file)
    found: dict[str, Any] = {name: _number(row[name]) for name in ROW}
    if found["median_ms"] <= 0.0:
        raise ValueError(f"a latency is {found['median_ms']}")
    if keeps_samples:
        found["sample_ms"] = [_number(ms) for ms in row["sample_ms"]]
    return found


def _conditions(document: Mapping[str, Any]) -> Block:
    """What the device did meanwhile; how many others worked there may be unknown."""
    found = {name: document[name] for name in CONDITIONS}
    known: dict[str, Any] = {n: v if v is None else _number(v) for n, v in found.items()}
    return Block(**known)


def _error(reason: Any, file: Path) -> CandidateError:
    """With the file's own path, where the agent has its digest."""
    return CandidateError(f"{reason!s:.1000}".replace(_digest(file), str(file)))


def _number(value: Any) -> float:
    """The number in an answer.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no number")
    return value
