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
from nas.targets._onnx_wire import contents_of
from search_spaces import CandidateError, UserError

_SEVERITY_ERROR = 3
_INTEGER_PREFIXES = ("QLinear", "QGemm", "QAttention", "DynamicQuantize")
_KERNEL = "_kernel_time"
_MOST_CALLS = 200
"""With its profiler on: the runtime keeps a million events, one per node and call, and no more."""

_HANDS_ON = frozenset({"DequantizeLinear", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze"})
"""What makes of a weight another form of it."""


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

    kernels: ClassVar[frozenset[str]] = frozenset(
        {"float32", "float8", "int8", "int8-dynamic", "int4"}
    )
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
        return _call_of(_open(file, _options(threads), self.provider), file, batch)

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
        """See `AbstractTarget.integer_kernels`.

        Counts QLinear*, QGemm, QAttention, DynamicQuantize* and *Integer* nodes; a QDQ pair that
        the runtime did not fuse, and pooling or reshaping that merely passes bytes on, count
        nothing.
        """
        options = _options(threads=1)
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
            _open(file, options, self.provider)
            operators = contents_of(Path(options.optimized_model_filepath)).operators
        return sum(map(is_integer, operators))

    def node_times(
        self, file: Path, *, threads: int, batch: int, budget_s: float
    ) -> list[NodeTime]:
        """See `TimesNodes.node_times`; by the runtime's own profiler, whose unit is 0.001 ms."""
        options = _options(threads)

        def calls(call: Callable[[], None]) -> int:
            done, end = 1, time.monotonic() + budget_s
            while done < _MOST_CALLS and (done == 1 or time.monotonic() < end):
                call()
                done += 1
            return done

        model, events, number = _profiled(file, options, self.provider, batch, calls)
        known = {node.name for node in model.graph.node} if model else set()
        with_weights = nodes_with_weights(model) if model else set()
        taken_us: dict[tuple[str, str], list[float]] = defaultdict(list)
        for event in events:
            taken_us[event["node"], event["args"]["op_name"]].append(event["dur"])
        return [
            NodeTime(
                name=name,
                op=op,
                ms=_middle_mean(us) * len(us) / number / 1e3,  # in a loop, it runs several times
                is_integer=is_integer(op),
                has_weights=name in with_weights or name not in known,
            )
            for (name, op), us in taken_us.items()
        ]


def run_once(file: Path, *, batch: int) -> tuple[Any, list[dict[str, Any]]]:
    """The graph after fusing, and what each of its nodes has read and written in one call.

    Layouts stay those of ONNX, so that shapes are those of the network.

    Args:
        file: An ONNX file; not changed.
        batch: Images per call.

    Returns:
        The graph as an `onnx.ModelProto`, and the profiler's events of nodes, in the order in which
        they ran, with the node's name as `node`.

    Raises:
        CandidateError: If this runtime cannot load or run this file.
    """
    options = _options(threads=1)
    options.graph_optimization_level = _onnxruntime().GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    model, events, _ = _profiled(file, options, "cpu", batch, lambda call: 1)
    return model, events


def nodes_with_weights(model: Any) -> set[str]:
    """Names of nodes of which an input is a weight, in whatever form; not a bias or a size."""
    weights = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) > 1}
    found = set()
    for node in model.graph.node:
        if any(name in weights for name in node.input):
            found.add(node.name)
            if node.op_type in _HANDS_ON and node.input[0] in weights:
                weights.update(node.output)
    return found


def is_integer(op: str) -> bool:
    """Whether the runtime's operator of this name computes on integers."""
    return op.startswith(_INTEGER_PREFIXES) or "Integer" in op


def _open(file: Path, options: Any, provider: str) -> Any:
    wanted, settings = PROVIDERS[provider]
    others = [] if provider == "cpu" else ["CPUExecutionProvider"]
    try:
        session = _onnxruntime().InferenceSession(
            str(file), options, providers=[(wanted, dict(settings)), *others]
        )
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise CandidateError(f"file '{file}' cannot be loaded by onnxruntime: {error}") from error
    if wanted not in session.get_providers():
        raise CandidateError(
            f"file '{file}': {wanted} does not start here, so onnxruntime would compute on the "
            "processor. Mostly libraries of CUDA or a driver are missing: its log names them."
        )
    return session


def _profiled(
    file: Path,
    options: Any,
    provider: str,
    batch: int,
    calls: Callable[[Callable[[], None]], int],
) -> tuple[Any, list[dict[str, Any]], int]:
    """The graph that the runtime runs, its profiler's events of nodes, and the number of calls.

    The graph is None where the package onnx is not installed, as on a device that only times.

    Args:
        file: The model; not changed.
        options: Of the session; changed.
        provider: What computes.
        batch: Images per call.
        calls: Makes calls after the first one; returns how many there were with that.
    """
    onnx = _onnx()
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        session = _open(_with_names(file, Path(folder, "named.onnx")), options, provider)
        number = calls(_call_of(session, file, batch))
        found = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        model = onnx.load(options.optimized_model_filepath) if onnx else None
    events = [
        {**event, "node": event["name"].removesuffix(_KERNEL)}
        for event in found
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)
    ]
    return model, events, number


def _with_names(file: Path, copy: Path) -> Path:
    """The file, or a copy in which every node has a name of its own, by which events name it.

    The file itself, too, where it cannot be read or copied: the runtime says why, or runs it.
    """
    onnx = _onnx()
    if onnx is None:
        return file
    try:
        nodes = onnx.load(file, load_external_data=False).graph.node
        names = [node.name for node in nodes]
        if all(names) and len(set(names)) == len(names):
            return file
        model = onnx.load(file)
        for number, node in enumerate(model.graph.node):
            node.name = f"{node.op_type}_{number}"
        onnx.save(model, copy)
    except Exception:  # protobuf's classes are several
        return file
    return copy


def _onnx() -> Any:
    """The package, if it is installed."""
    try:
        import onnx
    except ModuleNotFoundError:
        return None
    return onnx


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
