"""What a target is, and what timing a file on it yields.

A target is one runtime on one kind of device. Of a runtime of this machine its file says only how a
model file becomes a call that takes no argument; warm-up, repeats, order, grouping and units are in
`_timing.py` and `_worker.py`, once, so that the numbers of all targets are comparable. A device
that is reached otherwise times files itself.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, final, runtime_checkable

import numpy as np

from nas.system.environment import this_machine
from nas.targets._conditions import Block
from search_spaces import CandidateError, Registry, SearchSpace, UserError, format_of

Artefact = Literal[".onnx", ".safetensors"]
"""How the files end that a target takes: exported ones, or checkpoints, of which `nas.load` makes
torch modules."""

ONNX: Artefact = ".onnx"
TORCH_CHECKPOINT: Artefact = ".safetensors"

LEFT_OUT: Mapping[str, Any] = {"options": "", "energy_mj": None, "others": None}
"""Of a `Timing` in JSON: fields that are not there where they have these values."""

ContextTerm = Callable[[SearchSpace, np.ndarray], np.ndarray]
"""By encoding (N, C) of a space how much a network pays for: (N,), at least 0, in units near 1."""


@final
@dataclass(frozen=True)
class Answering:
    """What runs ONNX files in the process that verifies them, which sees nothing of ours.

    Attributes:
        runtime: A name out of `OPENERS` of `nas/front/_verify_worker.py`.
        options: Of it.
    """

    runtime: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


BY_ONNXRUNTIME = Answering("onnxruntime")


class AbstractTarget(abc.ABC):
    """Where files are timed. Plug-ins are runtimes or devices: see below.

    Options of its own are the fields of a frozen dataclass; otherwise it has no state.
    """

    artefact: ClassVar[Artefact] = ONNX
    """What it takes."""

    context_terms: ClassVar[Mapping[str, ContextTerm]] = {}
    """What networks pay for here besides their slots and changes of precision, by name; the latency
    model learns how much from whole networks."""

    kernels: ClassVar[frozenset[str]]
    """Kinds of kernels that it has: see `AbstractFormat.kernels`."""

    variants: ClassVar[tuple[str, ...]] = ()
    """Options with which something else is to be installed, as in texts of targets: `nas doctor`
    tries them, too."""

    oldest: ClassVar[str] = ""
    """Oldest version of the runtime on which exported files were tried, for cards; "" where opset
    and IR version of a file say it."""

    address_option: ClassVar[str] = ""
    """Of its options the one that says where it is found, and not what it is: written first and
    without its name, as in "remote:127.0.0.1:8477", and no part of what latencies depend on."""

    @property
    def answered_by(self) -> Answering:
        """What verifies files, so that a member's accuracy is that of what it is deployed on."""
        return BY_ONNXRUNTIME

    @property
    def own_kernels(self) -> frozenset[str]:
        """Of `kernels` those that it has with its options."""
        return self.kernels

    @final
    def offers(self, precision: str) -> bool:
        """Whether it has all kinds of kernels that networks of this format need."""
        return format_of(precision).kernels <= self.own_kernels

    @abc.abstractmethod
    def describe(self) -> dict[str, str]:
        """What runs here: `{"runtime": name, "version": version}`.

        Raises:
            UserError: If the runtime is not installed; says which command installs it.
        """

    def machine(self) -> dict[str, str]:
        """What files are timed on: `cpu`, `instruction_set` and `host`, as `Timing` has them.

        This machine, unless a device says otherwise.
        """
        return this_machine()

    @abc.abstractmethod
    def integer_kernels(self, file: Path) -> int:
        """How many kernels of this file compute on integers here; 0 where formats are simulated.

        Raises:
            CandidateError: If the file cannot be loaded.
        """


class AbstractRuntime(AbstractTarget):
    """A runtime of this machine or of a node: files are timed in fresh processes there."""

    waits: ClassVar[str] = "as the runtime decides"
    """How threads of a call wait for each other and for the next call, for records."""

    compiled_in: ClassVar[str] = ""
    """Environment variable of the folder in which what `prepare` compiles is kept, so that
    processes that time the same files compile once; "" if it compiles nothing slow."""

    @abc.abstractmethod
    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """Loads a model file and returns one inference of it, on fixed random input.

        The call returns when the work is done (a target with an asynchronous device waits for it),
        has been made once without error, and owns its session: dropping the call frees the session.

        Args:
            file: The model; not changed.
            threads: Threads that one call may use.
            batch: Images per call.

        Raises:
            CandidateError: If this runtime cannot load or run this file.
        """


class AbstractDevice(AbstractTarget):
    """A device that processes of this machine do not reach."""

    @abc.abstractmethod
    def time(
        self,
        files: Sequence[Path],
        *,
        threads: int,
        processes: int,
        spares: int = 0,
        budget_s: float | None = None,
    ) -> "list[Timing | CandidateError]":
        """As `nas.targets.measure`: files that are compared are timed in one call.

        A process is whatever a repetition is there that draws the conditions anew.
        """


@dataclass(frozen=True, kw_only=True)
class ProcessAnswers:
    """What one process on a device has measured.

    Attributes:
        files: By number of the file its row (see `_worker.py`), or why it has none.
        conditions: What the device did meanwhile; None if nothing ran.
    """

    files: "dict[int, Mapping[str, Any] | CandidateError]"
    conditions: Block | None = None


@runtime_checkable
class TimesProcesses(Protocol):
    """A device that has the one protocol, and is asked for one fresh process after the other."""

    def time_process(
        self,
        files: Mapping[int, Path],
        *,
        threads: int,
        seed: int,
        budget_s: float,
        keeps_samples: bool,
    ) -> ProcessAnswers:
        """Times files in one process there, in interleaved rounds.

        Args:
            files: By number.
            threads: Threads that one call may use.
            seed: Draws the order of the rounds.
            budget_s: Seconds in which rounds begin.
            keeps_samples: Whether rows have all samples.

        Raises:
            ConnectionError: If the device cannot be reached any more.
            RuntimeError: If the process hangs or dies for a reason that no file explains.
        """


@dataclass(frozen=True, kw_only=True)
class NodeTime:
    """How long one node of the graph that a runtime runs takes.

    Attributes:
        name: The node's.
        op: Its operator, by the runtime's name.
        ms: Milliseconds per inference, the mean of the middle half.
        is_integer: Whether it computes on integers.
        has_weights: Whether one of its inputs is a weight; a product without is of activations.
    """

    name: str
    op: str
    ms: float
    is_integer: bool
    has_weights: bool = True


@runtime_checkable
class TimesNodes(Protocol):
    """A runtime that says what an inference spends its time on."""

    def node_times(
        self, file: Path, *, threads: int, batch: int, budget_s: float
    ) -> list[NodeTime]:
        """Times every node of a file, which makes the inference slower meanwhile.

        Args:
            file: The model; not changed.
            threads: Threads that one call may use.
            batch: Images per call.
            budget_s: Seconds in which inferences are begun.

        Raises:
            CandidateError: If this runtime cannot load or run this file.
        """


TARGETS = Registry("nas.targets", "target", AbstractTarget)


class TimesFiles(Protocol):
    """`nas.targets.measure` of one target, here or on another machine, or a device's `time`."""

    def __call__(
        self,
        files: Sequence[Path],
        *,
        processes: int,
        spares: int = 0,
        budget_s: float | None = None,
    ) -> "list[Timing | CandidateError]":
        """As `nas.targets.measure`."""


@final
@dataclass(frozen=True)
class Timer:
    """Times files on one target.

    Attributes:
        times_files: How.
        artefact: How the files end that the target takes.
    """

    times_files: TimesFiles
    artefact: Artefact = ONNX

    def __call__(
        self,
        files: Sequence[Path],
        *,
        processes: int,
        spares: int = 0,
        budget_s: float | None = None,
    ) -> "list[Timing | CandidateError]":
        """As `nas.targets.measure`."""
        return self.times_files(files, processes=processes, spares=spares, budget_s=budget_s)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The measured latency of one file on one target.

    Attributes:
        median_ms: Median over processes of each process's median; milliseconds per call.
        interval_ms: 95 % bootstrap interval of `median_ms`, over processes.
        process_medians_ms: One median per process, in the order the processes ran. Files timed by
            one `measure` are paired by position.
        runs: Timed calls in all processes together; warm-up is not counted.
        processes: Fresh processes that these numbers come from.
        discarded: Further processes that were left out, for all files alike, because the whole
            machine was slower meanwhile.
        measured_at: When the measurement started, ISO 8601; files with the same one were timed
            together.
        threads: Threads that one call may use.
        batch: Images per call.
        is_bimodal: Whether the processes disagree by far more than each of them varies.
        runtime: Name of the runtime.
        version: Its version.
        cpu: Model name of the processor.
        instruction_set: Best 8-bit instruction set that the processor offers.
        host: Name of the machine; "" where it was not recorded.
        options: The target's own options, as in its text; "" if all have their defaults, and then
            left out of JSON.
        energy_mj: Millijoules that the whole processor used per call, median over processes; None
            where the machine does not count them, and then left out of JSON.
        others: Processors that other processes kept busy meanwhile; None where it is not known, and
            then left out of JSON.
    """

    median_ms: float
    interval_ms: tuple[float, float]
    process_medians_ms: tuple[float, ...]
    runs: int
    processes: int
    discarded: int
    measured_at: str
    threads: int
    batch: int
    is_bimodal: bool
    runtime: str
    version: str
    cpu: str
    instruction_set: str
    host: str = ""
    options: str = ""
    energy_mj: float | None = None
    others: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types; `Timing.from_json` reads them back."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
            if name not in LEFT_OUT or value != LEFT_OUT[name]
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """The timing that `to_json` wrote; unknown fields are ignored.

        Raises:
            UserError: If a field is missing.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        fields = {"host": "", **LEFT_OUT, **fields}
        missing = [name for name in names if name not in fields]
        if missing:
            raise UserError(
                f"timing: field '{missing[0]}' is missing. Fields: {', '.join(names)}. "
                "Measure the file again."
            )
        values = {name: fields[name] for name in names}
        for field in dataclasses.fields(cls):
            kind = (int, float) if field.type is float else field.type
            if isinstance(kind, type | tuple) and not isinstance(values[field.name], kind):
                raise ValueError(f"{field.name} is {values[field.name]!r:.40}. Measure again")
        low, high = map(float, values["interval_ms"])
        values["median_ms"] = float(values["median_ms"])
        for name in ("energy_mj", "others"):
            if values[name] is not None:
                values[name] = float(values[name])
        values["interval_ms"] = (low, high)
        values["process_medians_ms"] = tuple(map(float, values["process_medians_ms"]))
        return cls(**values)
