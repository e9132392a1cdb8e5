"""The onnxruntime target: an ONNX file on the CPU of this machine."""

import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

from nas.targets._base import TARGETS, AbstractRuntime, NodeTime
from nas.targets._inputs import at_batch, random_inputs
from nas.targets._onnx_wire import contents_of
from search_spaces import CandidateError, UserError

_SEVERITY_ERROR = 3
_INTEGER_PREFIXES = ("QLinear", "QGemm", "QAttention", "DynamicQuantize")
_KERNEL = "_kernel_time"
_MOST_CALLS = 200
"""With its profiler on: the runtime keeps a million events, one per node and call, and no more."""


@TARGETS.register
@final
class OnnxRuntime(AbstractRuntime):
    """onnxruntime's CPU execution provider, nodes run one after the other."""

    kernels: ClassVar[frozenset[str]] = frozenset({"float32", "int8", "int8-dynamic", "int4"})

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`."""
        return _call_of(_open(file, _options(threads)), file, batch)

    def describe(self) -> dict[str, str]:
        """See `AbstractTarget.describe`."""
        return {"runtime": "onnxruntime", "version": str(_onnxruntime().__version__)}

    def integer_kernels(self, file: Path) -> int:
        """See `AbstractTarget.integer_kernels`.

        Counts QLinear*, QGemm, QAttention, DynamicQuantize* and *Integer* nodes; a QDQ pair that
        the runtime did not fuse, and pooling or reshaping that merely passes bytes on, count
        nothing.
        """
        options = _options(threads=1)
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
            _open(file, options)
            operators = contents_of(Path(options.optimized_model_filepath)).operators
        return sum(map(_is_integer, operators))

    def node_times(
        self, file: Path, *, threads: int, batch: int, budget_s: float
    ) -> list[NodeTime]:
        """See `TimesNodes.node_times`; by the runtime's own profiler, whose unit is 0.001 ms."""
        options = _options(threads)
        options.enable_profiling = True
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            options.profile_file_prefix = str(Path(folder, "profile"))
            session = _open(file, options)
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


def _open(file: Path, options: Any) -> Any:
    try:
        return _onnxruntime().InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise CandidateError(f"file '{file}' cannot be loaded by onnxruntime: {error}") from error


def _shape(node: Any, file: Path, batch: int) -> list[int]:
    """The input's shape at this batch size; it must be one of float32 numbers."""
    if node.type != "tensor(float)":
        raise CandidateError(
            f"file '{file}': input '{node.name}' is a {node.type}; inputs must be float32."
        )
    return at_batch(file, node.name, node.shape, batch)
