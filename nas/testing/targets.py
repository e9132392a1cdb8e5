"""What every target keeps to: it prepares calls that are timed right, and leaves files alone."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas.targets import TARGETS, AbstractTarget
from nas.targets._worker import Samples, time_calls
from nas.testing._expect import refused, require
from search_spaces import FULL_PRECISION, CandidateError, format_of

BUSY_MS = 2.0


def check_it_says_which_runtime_and_version_it_is(name: str) -> None:
    """It says which runtime and version it is."""
    about = _target(name).describe()
    require(set(about) == {"runtime", "version"}, f"describe() gives {sorted(about)}")
    require(about["version"][:1].isdigit(), f"the version is '{about['version']}'")


def check_full_precision_runs_on_it(name: str) -> None:
    """It has the kernels for networks in full precision."""
    lacking = format_of(FULL_PRECISION).kernels - _target(name).kernels
    require(not lacking, f"it has no kernels {', '.join(sorted(lacking))}")


def check_an_added_wait_is_what_the_timing_grows_by(name: str) -> None:
    """A wait of known duration is what the timing grows by."""
    target = _target(name)
    with _models() as folder:
        file = fp32_file(folder)

        def plain() -> Callable[[], None]:
            return target.prepare(file, threads=1, batch=1)

        def slowed() -> Callable[[], None]:
            call = target.prepare(file, threads=1, batch=1)

            def call_and_wait() -> None:
                call()
                _busy(BUSY_MS)

            return call_and_wait

        # The clock counts what this process computes, so that a busy machine is no failure.
        clock = time.process_time_ns
        fast, slow = time_calls([plain, slowed], seed=0, budget_s=2.0, clock=clock)
    if not isinstance(fast, Samples) or not isinstance(slow, Samples):
        raise AssertionError(f"a model of one convolution is refused: {fast}, {slow}")
    grown_ms = float(np.median(slow.sample_ms) - np.median(fast.sample_ms))
    require(
        abs(grown_ms - BUSY_MS) <= 0.1 * BUSY_MS,
        f"a call that takes {BUSY_MS} ms more is measured to take {grown_ms:.3g} ms more",
    )


def check_the_model_file_stays_as_it_is(name: str) -> None:
    """Preparing, calling and counting leave the file and its folder as they are."""
    target = _target(name)
    with _models() as folder:
        file = int8_file(folder) if target.offers("int8") else fp32_file(folder)
        before = _content(folder)
        target.prepare(file, threads=1, batch=2)()
        target.integer_kernels(file)
        require(_content(folder) == before, "the model's folder has changed")


def check_integer_kernels_are_found_in_a_quantized_model_only(name: str) -> None:
    """Integer kernels are found in a quantized model, if it has such, and in no other."""
    target = _target(name)
    with _models() as folder:
        plain = target.integer_kernels(fp32_file(folder))
        require(plain == 0, f"a model in fp32 has {plain} integer kernels")
        if target.offers("int8"):
            require(target.integer_kernels(int8_file(folder)) > 0, "a quantized model has none")


def check_a_corrupt_file_is_a_failure_of_the_candidate(name: str) -> None:
    """A corrupt file is a failure of the candidate, and named."""
    target = _target(name)
    with _models() as folder:
        file = folder / "corrupt.onnx"
        file.write_bytes(b"\x08\x07this is no model")
        with refused("prepare of a corrupt file", CandidateError, r"corrupt\.onnx"):
            target.prepare(file, threads=1, batch=1)
        with refused("integer_kernels of a corrupt file", CandidateError, r"corrupt\.onnx"):
            target.integer_kernels(file)


def check_a_model_of_one_batch_size_is_refused_for_another(name: str) -> None:
    """A model that was exported for one batch size is refused for another."""
    target = _target(name)
    with _models() as folder:
        file = fp32_file(folder, batch=1)
        target.prepare(file, threads=1, batch=1)()
        with refused("prepare with 4 images", CandidateError, "batches of 4"):
            target.prepare(file, threads=1, batch=4)


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_says_which_runtime_and_version_it_is,
    check_full_precision_runs_on_it,
    check_an_added_wait_is_what_the_timing_grows_by,
    check_the_model_file_stays_as_it_is,
    check_integer_kernels_are_found_in_a_quantized_model_only,
    check_a_corrupt_file_is_a_failure_of_the_candidate,
    check_a_model_of_one_batch_size_is_refused_for_another,
)


def fp32_file(folder: Path, batch: str | int = "batch") -> Path:
    """A model of one convolution, (batch, 3, 8, 8) to (batch, 8, 6, 6)."""
    weight = np.full((8, 3, 3, 3), 0.1, np.float32)
    conv = helper.make_node("Conv", ["images", "weight"], ["logits"])
    constants = [numpy_helper.from_array(weight, "weight")]
    return _saved([conv], constants, folder / "fp32.onnx", batch)


def int8_file(folder: Path) -> Path:
    """A convolution whose input, weight and output are quantized, which runtimes fuse."""
    constants = {
        "scale": np.float32(0.05),
        "zero": np.uint8(128),
        "weight": np.full((8, 3, 3, 3), 7, np.int8),
        "weight_scale": np.float32(0.01),
        "weight_zero": np.int8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["q1"]),
        helper.make_node("DequantizeLinear", ["q1", "scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "scale", "zero"], ["q2"]),
        helper.make_node("DequantizeLinear", ["q2", "scale", "zero"], ["logits"]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    return _saved(nodes, tensors, folder / "int8.onnx", "batch")


def _saved(
    nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], path: Path, batch: str | int
) -> Path:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 8, 6, 6])
    graph = helper.make_graph(nodes, "model", [images], [logits], constants)
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@contextmanager
def _models() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        yield Path(folder)


def _target(name: str) -> AbstractTarget:
    target = TARGETS.get(name)()
    assert isinstance(target, AbstractTarget)
    return target


def _content(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


def _busy(milliseconds: float) -> None:
    end = time.process_time_ns() + milliseconds * 1e6
    while time.process_time_ns() < end:
        pass
