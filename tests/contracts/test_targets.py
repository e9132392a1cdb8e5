"""Every target prepares calls that are timed right, and leaves the model alone."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.targets import TARGETS, AbstractTarget
from nas.targets._worker import Samples, time_calls
from search_spaces import CandidateError, UserError

BUSY_MS = 2.0


@pytest.fixture(params=TARGETS.names())
def target(request: pytest.FixtureRequest) -> AbstractTarget:
    target = TARGETS.get(request.param)()
    try:
        target.describe()
    except UserError as error:
        pytest.skip(str(error))
    return target


@pytest.fixture
def fp32_file(tmp_path: Path) -> Path:
    weight = np.full((8, 3, 3, 3), 0.1, np.float32)
    conv = helper.make_node("Conv", ["images", "weight"], ["logits"])
    return save([conv], [numpy_helper.from_array(weight, "weight")], tmp_path / "fp32.onnx")


@pytest.fixture
def int8_file(tmp_path: Path) -> Path:
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
    return save(nodes, tensors, tmp_path / "int8.onnx")


def save(
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    path: Path,
    batch: str | int = "batch",
) -> Path:
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 8, 6, 6])
    graph = helper.make_graph(nodes, "model", [images], [logits], constants)
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def busy(milliseconds: float) -> None:
    end = time.process_time_ns() + milliseconds * 1e6
    while time.process_time_ns() < end:
        pass


def test_an_added_wait_of_known_duration_is_what_the_timing_grows_by(
    target: AbstractTarget, fp32_file: Path
) -> None:
    def plain() -> Callable[[], None]:
        return target.prepare(fp32_file, threads=1, batch=1)

    def slowed() -> Callable[[], None]:
        call = target.prepare(fp32_file, threads=1, batch=1)

        def call_and_wait() -> None:
            call()
            busy(BUSY_MS)

        return call_and_wait

    # The clock counts what this process computes, so that a busy machine cannot fail the test.
    clock = time.process_time_ns
    fast, slow = time_calls([plain, slowed], seed=0, budget_s=2.0, clock=clock)
    assert isinstance(fast, Samples)
    assert isinstance(slow, Samples)
    grown_ms = np.median(slow.sample_ms) - np.median(fast.sample_ms)
    assert grown_ms == pytest.approx(BUSY_MS, rel=0.1)


def test_preparing_calling_and_counting_leave_the_model_file_unchanged(
    target: AbstractTarget, int8_file: Path
) -> None:
    before = hashlib.sha256(int8_file.read_bytes()).hexdigest(), sorted(int8_file.parent.iterdir())
    target.prepare(int8_file, threads=1, batch=2)()
    target.integer_kernels(int8_file)
    after = hashlib.sha256(int8_file.read_bytes()).hexdigest(), sorted(int8_file.parent.iterdir())
    assert after == before


def test_integer_kernels_are_found_in_a_quantized_model_only(
    target: AbstractTarget, fp32_file: Path, int8_file: Path
) -> None:
    assert target.integer_kernels(fp32_file) == 0
    assert target.integer_kernels(int8_file) > 0


def test_a_corrupt_file_is_a_failure_of_the_candidate(
    target: AbstractTarget, tmp_path: Path
) -> None:
    file = tmp_path / "corrupt.onnx"
    file.write_bytes(b"\x08\x07this is no model")
    with pytest.raises(CandidateError, match=r"corrupt\.onnx"):
        target.prepare(file, threads=1, batch=1)
    with pytest.raises(CandidateError, match=r"corrupt\.onnx"):
        target.integer_kernels(file)


def test_a_model_exported_for_one_batch_size_is_refused_for_another(
    target: AbstractTarget, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Conv", ["images", "weight"], ["logits"])]
    weight = numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "weight")
    file = save(nodes, [weight], tmp_path / "fixed.onnx", batch=1)
    target.prepare(file, threads=1, batch=1)()
    with pytest.raises(CandidateError, match="batches of 4"):
        target.prepare(file, threads=1, batch=4)


def test_a_target_says_which_runtime_and_version_it_is(target: AbstractTarget) -> None:
    about = target.describe()
    assert set(about) == {"runtime", "version"}
    assert about["version"][0].isdigit()
