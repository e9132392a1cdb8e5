"""What a report is made of: the typed, frozen tables of one run.

Every number that a run may lack is `None` here, never NaN; text shows it as "-" (`reports.text`).
Units are in the names; shares and sparsities are fractions in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.diagnoses import Filters, Robustness
from reports.intervals import normal, wilson
from search_spaces import DEFAULT_TASK, AbstractTask, Confusion, Option, is_quantized, task_of

Interval = tuple[float, float]
DEPLOYED = "model.onnx"
UNQUANTIZED = "model.fp32.onnx"
UNTUNED = "not trained further"
AGAINST = "Against the network that was brought:"
ALTERED = "Not as the run wrote it:"


@dataclass(frozen=True, kw_only=True)
class PixelQuality:
    """What one file answered at all pixels of a split together."""

    fraction: float | None = None  # that is right
    mean_iou: float | None = None  # mean of classes
    ious: tuple[float | None, ...] = ()  # by class; None of one that is neither there nor answered


@dataclass(frozen=True, kw_only=True)
class SplitQuality:
    """What one file answered on one split, judged by the task's two metrics."""

    shown: float | None = None
    loss: float | None = None
    correct: int | None = None  # where the metric is a share
    deviation: float | None = None  # over images, where it is none
    total: int | None = None
    labels: tuple[int, ...] = ()  # images of each class
    confusion: Confusion | None = None  # where answers are classes
    is_balanced: bool = False  # whether classes count alike in the loss
    untaught: tuple[float, float] | None = None  # both metrics of what needs no learning
    pixels: PixelQuality | None = None  # where answers are masks

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the shown metric."""
        if not self.total:
            return None
        if self.correct is not None and 0 <= self.correct <= self.total:
            return wilson(self.correct, self.total)
        if self.shown is not None and self.deviation is not None:
            return normal(self.shown, self.deviation, self.total)
        return None


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long one file took, and under which conditions."""

    median_ms: float | None = None
    interval_ms: Interval | None = None
    processes: int | None = None
    runs: int | None = None
    threads: int | None = None
    batch: int | None = None
    is_bimodal: bool = False
    runtime: str = ""
    version: str = ""
    cpu: str = ""
    instruction_set: str = ""
    options: str = ""  # of the target, as it is named; "" if all have their defaults
    energy_mj: float | None = None  # per call, where the machine counts it


@dataclass(frozen=True, kw_only=True)
class Parity:
    """On how many images the exported file answers like the network that was scored."""

    same_answer: float  # fraction
    images: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One exported file of a network, as its card describes it."""

    name: str
    bytes: int | None = None
    precision: str = ""
    integer_kernels: int | None = None
    search: SplitQuality = SplitQuality()
    test: SplitQuality = SplitQuality()
    latency: Latency = Latency()
    latency_predicted_ms: float | None = None
    parity: Parity | None = None
    elsewhere: Mapping[str, Latency] = field(default_factory=dict)  # by other targets
    again: Latency = Latency()  # on the run's target, measured together with some of these
    answered_by: str = "onnxruntime"  # of what the metrics are


@dataclass(frozen=True, kw_only=True)
class FinetuneFacts:
    """How a network of the front was trained further, on its own."""

    source: str  # key of the network whose weights it started from
    steps: int | None = None
    epochs: float | None = None
    teacher: str = ""
    data: str = ""
    grown_from: str = ""  # key of the smaller network whose function it began with instead
    trained_in: str = ""  # precision, and what else steps were made faster by


@dataclass(frozen=True, kw_only=True)
class ModelledCosts:
    """What a network would cost with kernels for its sparsity patterns."""

    macs: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A network's deployed file against the network that was brought, in fp32."""

    times_faster: float | None = None
    times_smaller: float | None = None
    change: float | None = None  # of the shown metric on the search split
    interval: Interval | None = None  # 95 % of the change
    expected: float | None = None  # the change that finalists were chosen by
    expected_interval: Interval | None = None  # 95 % of it


@dataclass(frozen=True, kw_only=True)
class Member:
    """A network with real files: on the front, or a reference beside it."""

    key: str
    name: str
    is_reference: bool  # beside the front
    folder: str  # relative to the run directory, with forward slashes
    arch: Mapping[str, Option]
    policy: Mapping[str, Option]
    encoding: tuple[int, ...]
    macs: int | None
    params: int | None
    files: tuple[ModelFile, ...]
    classes: tuple[str, ...]
    input: Mapping[str, Any]
    bit_ops: float | None = None  # cards of earlier versions have none
    data: str = ""
    task: AbstractTask = field(default_factory=lambda: task_of(DEFAULT_TASK))
    finetuned: FinetuneFacts | None = None
    modelled: ModelledCosts | None = None  # where weights have a pattern
    is_knee: bool = False
    tied_with: tuple[str, ...] = ()
    role: str = ""  # "largest int8", "random 2", "fp32 of 3f2a9c01d4ab": on the front or beside it
    over_limits: tuple[str, ...] = ()  # budgets that its measured numbers exceed
    is_altered: bool = False  # a file of its folder is not as it was written
    is_untuned: bool = False  # not trained further, in a run with front members that were
    gain: Gain | None = None  # where a network was brought

    @property
    def is_brought(self) -> bool:
        """Whether it is the network that was brought, with the weights that it had."""
        return self.role.startswith("brought")

    def file(self, name: str) -> ModelFile | None:
        """The file called `name`, if the network has it."""
        return next((file for file in self.files if file.name == name), None)

    @property
    def deployed(self) -> ModelFile:
        """The file that was selected and that runs on the target."""
        return self.file(DEPLOYED) or ModelFile(name=DEPLOYED)

    @property
    def unquantized(self) -> ModelFile:
        """The same pruned network before quantization; the deployed file if none is quantized."""
        precisions = {
            str(v) for name, v in self.policy.items() if name.rpartition(".")[2] == "precision"
        }
        alone = ModelFile(name=UNQUANTIZED)
        if not any(map(is_quantized, precisions)):
            alone = self.deployed
        return self.file(UNQUANTIZED) or alone


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One line of trials.jsonl: the task's metrics are measured, latency and size predicted."""

    number: int
    key: str
    arch: Mapping[str, Option]
    policy: Mapping[str, Option]
    shown: float | None
    loss: float | None
    macs: float | None
    params: float | None
    latency_predicted_ms: float | None
    size_predicted_bytes: float | None
    bit_ops: float | None
    failure: str | None


@dataclass(frozen=True, kw_only=True)
class LimitRow:
    """One budget of the run; `binds` is None when that is not known."""

    text: str
    metric: str
    max: float | None = None  # in the metric's unit
    binds: bool | None = None
    largest: float | None = None  # in the space; for latency: that this run has seen


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Time spent in one phase, over all the times that the run was started."""

    name: str
    seconds: float | None  # None while it has never ended
    num_interrupted: int


@dataclass(frozen=True, kw_only=True)
class TrainPoint:
    """One line of train_log.jsonl."""

    step: int
    loss: float | None
    loss_largest: float | None
    loss_smallest: float | None


@dataclass(frozen=True, kw_only=True)
class FidelityRow:
    """One network: with the supernet's weights, and trained alone."""

    key: str
    inherited: float  # the shown metric
    alone: float
    macs: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How far inherited weights rank networks as training them alone does."""

    num_subnets: int | None
    steps: int | None
    batch_size: int | None
    kendall_tau: float | None
    interval: Interval | None
    rows: tuple[FidelityRow, ...]


@dataclass(frozen=True, kw_only=True)
class ProfileRow:
    """A whole network of the latency profile, predicted by a fit that has not seen it."""

    name: str
    measured_ms: float
    predicted_ms: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How far latency predictions can be trusted: errors on networks left out of the fit."""

    target: str
    num_networks: int | None
    mape: float | None
    max_error: float | None
    kendall_tau: float | None
    rows: tuple[ProfileRow, ...]


@dataclass(frozen=True, kw_only=True)
class KernelRow:
    """One kernel of a file against the waterline."""

    name: str
    op: str
    ops: float
    num_bytes: float
    waterline: float  # bytes per operation
    is_memory_bound: bool


@dataclass(frozen=True, kw_only=True)
class FileEfficiency:
    """What one file takes, at least and by class of operator."""

    key: str
    file: str
    latency_ms: float
    ideal_ms: float | None = None
    waterline_ms: float | None = None
    fused_ms: float | None = None
    memory_bound_share: float | None = None
    classes: Mapping[str, float] = field(default_factory=dict)  # ms of a call
    kernels: tuple[KernelRow, ...] = ()

    @property
    def efficiency(self) -> float | None:
        """Ideal time by actual time."""
        return None if self.ideal_ms is None else self.ideal_ms / self.latency_ms


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """What files of a run take, on its own target."""

    target: str
    peaks: str  # in a line
    files: tuple[FileEfficiency, ...]

    def of(self, member: Member, file: str = DEPLOYED) -> FileEfficiency | None:
        """Of one file of a network."""
        found = (f for f in self.files if (f.key, f.file) == (member.key, file))
        return next(found, None)


@dataclass(frozen=True, kw_only=True)
class Belief:
    """How well a controller predicted one metric, each trial left out once."""

    trials: int  # how many it had
    metric: str
    kendall_tau: float
    coverage: float  # fraction of the trials within their 90 % interval


@dataclass(frozen=True, kw_only=True)
class RunTables:
    """Everything that a report says about one run."""

    folder: Path
    config: Mapping[str, Any]
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    num_networks: int | None  # distinct ones in the space
    limits: tuple[LimitRow, ...]
    front: tuple[Member, ...]  # by measured latency
    references: tuple[Member, ...]  # as the run lists them
    replaced: tuple[tuple[str, str], ...]  # (key, reason)
    trials: tuple[TrialRow, ...]
    phases: tuple[Phase, ...]
    notes: tuple[str, ...]
    training: tuple[TrainPoint, ...]
    finetunes: tuple[tuple[str, tuple[TrainPoint, ...]], ...]  # (key, its training log)
    profile: Profile | None
    fidelity: Fidelity | None
    beliefs: tuple[Belief, ...]
    efficiency: Efficiency | None = None
    filters: Filters | None = None
    robustness: Robustness | None = None
    images_per_score: int | None = None  # of the search split
    sizes: Mapping[str, Any] = field(default_factory=dict)  # sizes.json
    pays: tuple[tuple[str, str], ...] = ()  # (option, what it gains here)
    num_corrupt: int = 0  # images that were left out
    trained_by: str = ""  # device and processes, in words
    failure: str = ""  # why the front is empty
    altered: tuple[str, ...] = ()  # what is not as the run wrote it, a sentence each
    task: AbstractTask = field(default_factory=lambda: task_of(DEFAULT_TASK))

    @property
    def members(self) -> tuple[Member, ...]:
        """The front, then the references."""
        return self.front + self.references
