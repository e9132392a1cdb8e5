"""The onnxruntime target: an ONNX file on this machine, by one of the runtime's providers.

A provider is what the runtime hands nodes to: its own kernels for processors, CUDA or TensorRT. The
last two are in other packages than the usual one, of which one alone can be installed.
"""

import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from nas.targets._base import BY_ONNXRUNTIME, TARGETS, AbstractRuntime, Answering, NodeTime
from nas.targets._inputs import at_batch, random_inputs
from search_spaces import CandidateError, UserError

_SEVERITY_ERROR = 3
_INTEGER_PREFIXES = ("QLinear", "QGemm", "QAttention", "DynamicQuantize")
_KERNEL = "_kernel_time"
_MOST_CALLS = 200
"""With its profiler on: the runtime keeps a million events, one per node and call, and no more."""


PROVIDERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "tensorrt": ("TensorrtExecutionProvider", {}),
}
"""By option what the runtime calls it, and how it computes as the file says."""


@TARGETS.register
@final
@dataclass(frozen=True, kw_only=True)
class OnnxRuntime(AbstractRuntime):
    """onnxruntime, nodes run one after the other.

    A call begins with images in the memory of the processor and ends with answers there.

    Attributes:
        provider: Whose kernels run, a name out of `PROVIDERS`.
    """

    provider: str = "cpu"

    kernels: ClassVar[frozenset[str]] = frozenset({"float32", "int8", "int8-dynamic", "int4"})
    variants: ClassVar[tuple[str, ...]] = ("provider=cuda", "provider=tensorrt")
    waits: ClassVar[str] = "spinning in a call, asleep between calls"

    def __post_init__(self) -> None:
        if self.provider not in PROVIDERS:
            raise UserError(
                f"target 'onnxruntime': provider is '{self.provider}'. "
                f"Known: {', '.join(PROVIDERS)}."
            )

    @property
    def own_kernels(self) -> frozenset[str]:
        """On GPUs pairs of QuantizeLinear and DequantizeLinear stay what they say."""
        return self.kernels if self.provider == "cpu" else frozenset({"float32"})

    @property
    def answered_by(self) -> Answering:
        """The same provider."""
        if self.provider == "cpu":
            return BY_ONNXRUNTIME
        return Answering("onnxruntime", {"provider": self.provider})

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`."""
        return _call_of(self._open(file, _options(threads)), file, batch)

    def describe(self) -> dict[str, str]:
        """See `AbstractTarget.describe`.

        Raises:
            UserError: Also if what is installed lacks the provider.
        """
        ort, (wanted, _) = _onnxruntime(), PROVIDERS[self.provider]
        has = ort.get_available_providers()
        if wanted not in has:
            raise UserError(
                f"target 'onnxruntime:provider={self.provider}': the installed onnxruntime "
                f"{ort.__version__} has no {wanted}, but {', '.join(has)}. Put a package that has "
                "it in its place (pip uninstall onnxruntime; pip install onnxruntime-gpu), or "
                "leave out provider."
            )
        return {"runtime": "onnxruntime", "version": str(ort.__version__)}

    def integer_kernels(self, file: Path) -> int:
        """See `AbstractTarget.integer_kernels`. Needs the package onnx to read the graph back.

        Counts QLinear*, QGemm, QAttention, DynamicQuantize* and *Integer* nodes; a QDQ pair that
        the runtime did not fuse, and pooling or reshaping that merely passes bytes on, count
        nothing.
        """
        import onnx

        options = _options(threads=1)
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
            self._open(file, options)
            model = onnx.load(options.optimized_model_filepath)
        return sum(_is_integer(node.op_type) for node in model.graph.node)

    def node_times(
        self, file: Path, *, threads: int, batch: int, budget_s: float
    ) -> list[NodeTime]:
        """See `TimesNodes.node_times`; by the runtime's own profiler, whose unit is 0.001 ms."""
        options = _options(threads)
        options.enable_profiling = True
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            options.profile_file_prefix = str(Path(folder, "profile"))
            session = self._open(file, options)
            call, calls = _call_of(session, file, batch), 1
            end = time.monotonic() + budget_s
            while calls < _MOST_CALLS and (calls == 1 or time.monotonic() < end):
                call()
                calls += 1
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        taken_us: dict[tuple[str, str], list[float]] = defaultdict(list)
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
                node = event["name"].removesuffix(_KERNEL)
                taken_us[node, event["args"]["op_name"]].append(event["dur"])
        return [
            NodeTime(
                name=name,
                op=op,
                ms=_middle_mean(us) * len(us) / calls / 1e3,  # in a loop, it runs several times
                is_integer=_is_integer(op),
            )
            for (name, op), us in taken_us.items()
        ]

    def _open(self, file: Path, options: Any) -> Any:
        wanted, settings = PROVIDERS[self.provider]
        others = [] if self.provider == "cpu" else ["CPUExecutionProvider"]
        try:
            session = _onnxruntime().InferenceSession(
                str(file), options, providers=[(wanted, dict(settings)), *others]
            )
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            raise CandidateError(
                f"file '{file}' cannot be loaded by onnxruntime: {error}"
            ) from error
        if wanted not in session.get_providers():
            raise CandidateError(
                f"file '{file}': {wanted} does not start here, so onnxruntime would compute on the "
                "processor. Mostly libraries of CUDA or a driver are missing: its log names them."
            )
        return session


def _is_integer(op: str) -> bool:
    return op.startswith(_INTEGER_PREFIXES) or "Integer" in op


def _middle_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: finer than a median of whole numbers, and as robust."""
    quarter = len(values) // 4
    return statistics.fmean(sorted(values)[quarter : len(values) - quarter])


def _call_of(session: Any, file: Path, batch: int) -> Callable[[], None]:
    nodes = session.get_inputs()
    arrays = random_inputs([_shape(node, file, batch) for node in nodes])
    feed = {node.name: array for node, array in zip(nodes, arrays, strict=True)}
    outputs = [node.name for node in session.get_outputs()]

    def call() -> None:
        session.run(outputs, feed)

    try:
        call()
    except Exception as error:
        raise CandidateError(f"file '{file}' cannot be run by onnxruntime: {error}") from error
    return call


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime":
            fact, option = "is not installed", ""
        else:
            fact, option = f"is installed and cannot be imported: {error}", "--force-reinstall "
        raise UserError(
            f"target 'onnxruntime' {fact}. Run: pip install {option}onnxruntime"
        ) from error
    return onnxruntime


def _options(threads: int) -> Any:
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _SEVERITY_ERROR
    # Threads spin while a call runs and stop when it returns: spinning ones of an idle session
    # would take the cores from the session that is being timed (2 to 3 times slower when measured).
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _shape(node: Any, file: Path, batch: int) -> list[int]:
    """The input's shape at this batch size; it must be one of float32 numbers."""
    if node.type != "tensor(float)":
        raise CandidateError(
            f"file '{file}': input '{node.name}' is a {node.type}; inputs must be float32."
        )
    return at_batch(file, node.name, node.shape, batch)
