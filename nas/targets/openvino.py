"""The openvino target: an ONNX file on the CPU of this machine, by OpenVINO.

It reads the same files as onnxruntime: pairs of QuantizeLinear and DequantizeLinear become integer
kernels where its plug-in for processors has them. What is floating-point is computed in float32:
by itself OpenVINO would choose bf16 on processors that multiply it, and quantize what layers read
whose weights alone are quantized, and so answer otherwise than the file says. Options ask for that.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, final

from nas.targets._base import TARGETS, AbstractRuntime, Answering
from nas.targets._inputs import at_batch, random_inputs
from search_spaces import CandidateError, UserError

_TELEMETRY = "openvino_telemetry"
PRECISIONS = ("f32", "bf16")
_GROUP_SIZE = 32
"""Inputs that share a scale: OpenVINO's own choice."""

PRODUCTS = frozenset({"Convolution", "FullyConnected", "MatMul"})
"""Kinds of layers that are counted: all others compute on what they unpack from bytes."""


@TARGETS.register
@final
@dataclass(frozen=True, kw_only=True)
class OpenVino(AbstractRuntime):
    """OpenVINO's plug-in for processors, one stream.

    Attributes:
        precision: In which floating-point layers are computed, "f32" or "bf16".
        quantizes_inputs: Whether linear layers whose weights alone are quantized multiply integers,
            made of their inputs in each call.
    """

    precision: str = "f32"
    quantizes_inputs: bool = False

    kernels: ClassVar[frozenset[str]] = frozenset({"float32", "int8", "int4"})
    oldest: ClassVar[str] = "2025.0"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(
                f"target 'openvino': precision is '{self.precision}'. "
                f"Known: {', '.join(PRECISIONS)}."
            )

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        """See `AbstractRuntime.prepare`."""
        compiled, shapes = self._compiled(file, threads, batch)
        request = compiled.create_infer_request()
        for place, array in enumerate(random_inputs(shapes)):
            # NOTE: handing arrays to `infer` would add 30 us of Python to every call.
            request.set_input_tensor(place, _openvino().Tensor(array, shared_memory=True))

        def call() -> None:
            request.infer()

        try:
            call()
        except Exception as error:
            raise CandidateError(f"file '{file}' cannot be run by openvino: {error}") from error
        return call

    def describe(self) -> dict[str, str]:
        """See `AbstractTarget.describe`."""
        return {"runtime": "openvino", "version": str(_openvino().__version__).partition("-")[0]}

    @property
    def answered_by(self) -> Answering:
        """OpenVINO itself, with the same options."""
        return Answering("openvino", asdict(self))

    def integer_kernels(self, file: Path) -> int:
        """See `AbstractTarget.integer_kernels`.

        Counts convolutions and matrix products whose kernel in the compiled graph is one of I8,
        such as "brgconv_avx512_I8".
        """
        compiled, _ = self._compiled(file, threads=1, batch=1)
        layers = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
        return sum(
            _text(layer["layerType"]) in PRODUCTS and _text(layer["primitiveType"]).endswith("_I8")
            for layer in layers
        )

    def _compiled(self, file: Path, threads: int, batch: int) -> tuple[Any, list[list[int]]]:
        """The compiled model, and the shapes of its inputs."""
        core = _core()
        try:
            model = core.read_model(str(file))
        except Exception as error:
            raise CandidateError(f"file '{file}' cannot be loaded by openvino: {error}") from error
        shapes = [_shape(port, file, batch) for port in model.inputs]
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP_SIZE if self.quantizes_inputs else 0,
        }
        try:
            model.reshape(dict(zip(model.inputs, shapes, strict=True)))
            return core.compile_model(model, "CPU", options), shapes
        except Exception as error:
            raise CandidateError(f"file '{file}' cannot be loaded by openvino: {error}") from error


@cache
def _core() -> Any:
    """The one core of this process, which lives as long.

    NOTE: every core that is made gives signal handlers a stack, and gives back the one before it
    when it goes. Of two that go in the order in which they came, the second one gives back what the
    first one has freed, and the next signal, such as Ctrl-C, ends the process.
    """
    return _openvino().Core()


def _openvino() -> Any:
    # NOTE: its import sends an event and writes into the home folder, unless this cannot be found.
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "openvino":
            fact, option = "is not installed", ""
        else:
            fact, option = f"is installed and cannot be imported: {error}", "--force-reinstall "
        raise UserError(f"target 'openvino' {fact}. Run: pip install {option}openvino") from error
    return openvino


def _shape(port: Any, file: Path, batch: int) -> list[int]:
    """The input's shape at this batch size; it must be one of float32 numbers."""
    name, kind = port.get_any_name(), port.element_type.get_type_name()
    if kind != "f32":
        raise CandidateError(f"file '{file}': input '{name}' is a {kind}; inputs must be float32.")
    axes = [a.get_length() if a.is_static else "?" for a in port.partial_shape]
    return at_batch(file, name, axes, batch)


def _text(value: Any) -> str:
    return str(value.astype(str) if hasattr(value, "astype") else value)
