"""Verification in a process that sees nothing of ours."""

import hashlib
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.front import verify as verify_module
from nas.targets import choose
from search_spaces import CandidateError, UserError, task_of

CLASSES = 5
verify = partial(verify_module.verify, task=task_of("classification"), num_outputs=CLASSES)
INPUT: dict[str, Any] = {
    "name": "images",
    "shape": ["batch", 2, 2, 3],
    "layout": "NCHW",
    "dtype": "float32",
    "channels": "grey and depth",
    "scale": 255.0,
    "mean": [0.2, 0.5],
    "std": [0.3, 0.1],
    "resize": "none",
}


def save_linear(path: Path, weight: np.ndarray) -> None:
    """A model whose logits are the flattened input times `weight`."""
    nodes = [
        helper.make_node("Flatten", ["images"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "weight"], ["logits"]),
    ]
    tensor = numpy_helper.from_array(weight.astype(np.float32), "weight")
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 2, 2, 3])
    shape = ["batch", weight.shape[1]]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "model", [images], [logits], [tensor])
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)


@pytest.fixture
def weight() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.5, (12, CLASSES))


@pytest.fixture
def folder(tmp_path: Path, weight: np.ndarray) -> Path:
    save_linear(tmp_path / "model.onnx", weight)
    return tmp_path


def draw(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (images, 2, 2, 3), dtype=np.uint8)
    return pixels, rng.integers(0, CLASSES, images)


def expected(weight: np.ndarray, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    mean = np.array(INPUT["mean"]).reshape(2, 1, 1)
    std = np.array(INPUT["std"]).reshape(2, 1, 1)
    logits = ((images / 255.0 - mean) / std).reshape(len(images), -1) @ weight
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {
        "answers": logits.argmax(axis=1).tolist(),
        "correct": int((logits.argmax(axis=1) == labels).sum()),
        "log_loss": -np.log(probabilities[np.arange(len(labels)), labels]).mean(),
    }


def test_size_digest_and_results_are_those_of_the_file(folder: Path, weight: np.ndarray) -> None:
    save_linear(folder / "negated.onnx", -weight)
    # 150 images are more than two batches; the second file and split must not be mixed up.
    splits = {"search": draw(150), "test": draw(3, seed=1)}
    files = ["model.onnx", "negated.onnx"]
    found = verify(folder, INPUT, files, splits, with_answers=True)
    assert list(found) == files
    for name, sign in (("model.onnx", 1), ("negated.onnx", -1)):
        data = (folder / name).read_bytes()
        assert found[name]["bytes"] == len(data)
        assert found[name]["sha256"] == hashlib.sha256(data).hexdigest()
        for split, (images, labels) in splits.items():
            of_split = found[name]["accuracy"][split]
            true = expected(sign * weight, images, labels)
            assert of_split["correct"] == true["correct"]
            assert of_split["total"] == len(labels)
            assert of_split["fraction"] == true["correct"] / len(labels)
            assert of_split["answers"] == true["answers"]
            assert of_split["log_loss"] == pytest.approx(true["log_loss"], rel=1e-5)


def test_predictions_are_left_out_unless_asked_for_and_huge_logits_are_no_problem(
    folder: Path, weight: np.ndarray
) -> None:
    save_linear(folder / "huge.onnx", 1e6 * weight)
    (of_file,) = verify(folder, INPUT, ["huge.onnx"], {"test": draw(20)}, is_balanced=True).values()
    names = {"fraction", "correct", "total", "log_loss", "balanced"}
    assert set(of_file["accuracy"]["test"]) == names
    assert np.isfinite(of_file["accuracy"]["test"]["log_loss"])


def test_a_corrupt_or_missing_file_is_a_failure_of_the_candidate(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "short.onnx").write_bytes(data[: len(data) // 2])
    for name in ("short.onnx", "missing.onnx"):
        with pytest.raises(CandidateError, match=name):
            verify(folder, INPUT, ["model.onnx", name], {"test": draw(4)})


def test_output_that_is_not_finite_or_has_too_few_outputs_is_a_failure_of_the_candidate(
    folder: Path, weight: np.ndarray
) -> None:
    save_linear(folder / "infinite.onnx", np.full_like(weight, np.inf))
    save_linear(folder / "few.onnx", weight[:, :2])
    with pytest.raises(CandidateError, match=r"infinite\.onnx.*not finite"):
        verify(folder, INPUT, ["infinite.onnx"], {"test": draw(4)})
    with pytest.raises(CandidateError, match=r"few\.onnx.*has shape \(1, 2\), not \(1, 5\)"):
        verify(folder, INPUT, ["few.onnx"], {"test": (draw(1)[0], np.array([4]))})


def test_the_process_imports_neither_torch_nor_this_project() -> None:
    worker = Path(verify_module.__file__).with_name("_verify_worker.py")
    job = b'{"runtime": "onnxruntime", "options": {}, "threads": 1, "files": {}, "splits": {}}\n'
    done = subprocess.run([sys.executable, "-I", worker], input=job, capture_output=True)
    for module in ("torch", "onnx", "pandas", "nas", "search_spaces", "supernets", "compress"):
        assert f'"{module}"'.encode() not in done.stdout
    assert b'"onnxruntime"' in done.stdout


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino")
def test_openvino_answers_for_files_that_are_deployed_on_it(
    folder: Path, weight: np.ndarray
) -> None:
    images, labels = draw(150)  # the last batch is not full
    (of_file,) = verify(
        folder,
        INPUT,
        ["model.onnx"],
        {"test": (images, labels)},
        with_answers=True,
        answered_by=choose("openvino").target.answered_by,
    ).values()
    assert of_file["accuracy"]["test"]["answers"] == expected(weight, images, labels)["answers"]


def test_an_interpreter_that_imports_forbidden_modules_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "_FORBIDDEN", {"numpy"})
    with pytest.raises(UserError, match="must not see 'numpy'"):
        verify(folder, INPUT, ["model.onnx"], {"test": draw(4)})


def test_a_process_that_dies_is_a_failure_of_the_candidate(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = folder / "dies.py"
    script.write_text("raise SystemExit('out of luck')")
    monkeypatch.setattr(verify_module, "_WORKER", script)
    with pytest.raises(CandidateError, match=r"code 1 and no answer: out of luck"):
        verify(folder, INPUT, ["model.onnx"], {"test": draw(4)})
