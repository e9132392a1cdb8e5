"""The card: written whole or not at all, read with clear errors, checked by the example."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from nas.front.card import build_card, check_card, read_card, write_card
from nas.front.verify import verify
from nas.targets import Timing
from search_spaces import Candidate, Options, UserError, task_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "verify_card.py"
INPUT: dict[str, Any] = {
    "name": "images",
    "shape": ["batch", 1, 2, 2],
    "layout": "NCHW",
    "dtype": "float32",
    "channels": "grey",
    "scale": 255.0,
    "mean": [0.5],
    "std": [0.25],
    "resize": "none",
}
TIMING = Timing(
    median_ms=0.8,
    interval_ms=(0.7, 0.9),
    process_medians_ms=(0.7, 0.8, 0.9),
    runs=150,
    processes=3,
    discarded=0,
    measured_at="",
    threads=1,
    batch=1,
    is_bimodal=False,
    runtime="onnxruntime",
    version="1.31.1",
    cpu="Fast CPU",
    instruction_set="avx512_vnni",
)
ACCURACY = {"fraction": 0.5, "correct": 5, "total": 10, "log_loss": 1.25}


def onnx_facts(**changes: Any) -> dict[str, Any]:
    facts = {
        "sha256": "0" * 64,
        "bytes": 1234,
        "precision": "int8",
        "integer_kernels": 31,
        "accuracy": {"search": dict(ACCURACY), "test": dict(ACCURACY)},
        "latency": TIMING.to_json(),
        "latency_predicted_ms": 0.9,
    }
    return {**facts, **changes}


def a_card(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "run": "ab12cd34",
        "name": "front member",
        "key": "0a1b2c",
        "candidate": Candidate(
            encoding=(1, 0),
            arch=Options({"stage1.width": 32}),
            policy=Options({"stage1.precision": "int8"}),
        ),
        "space": "toy",
        "data": "digit-pairs",
        "input": INPUT,
        "classes": ["a", "b", "c", "d"],
        "macs": 10,
        "params": 4,
        "files": {
            "model.onnx": onnx_facts(),
            "model.safetensors": {"sha256": "1" * 64, "bytes": 99},
        },
    }
    return build_card(**{**fields, **changes})


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    card = a_card()
    write_card(card, tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == card
    assert Timing.from_json(card["files"]["model.onnx"]["latency"]) == TIMING
    assert [file.name for file in tmp_path.iterdir()] == ["card.json"]


def test_the_fields_of_a_card_are_those_of_schema_1() -> None:
    names = "schema run name key space data encoding arch policy input classes macs params files"
    card = a_card()
    assert list(card) == names.split()
    assert (card["schema"], card["encoding"]) == (1, [1, 0])
    assert (card["arch"], card["policy"]) == ({"stage1.width": 32}, {"stage1.precision": "int8"})


@pytest.mark.parametrize(
    "place",
    [
        ("macs",),
        ("input", "std"),
        ("files", "model.onnx", "integer_kernels"),
        ("files", "model.onnx", "latency", "median_ms"),
        ("files", "model.onnx", "accuracy", "search", "log_loss"),
        ("files", "model.safetensors", "sha256"),
    ],
)
def test_a_field_that_is_missing_or_of_the_wrong_type_is_named_in_dotted_form(
    place: tuple[str, ...],
) -> None:
    card = copy.deepcopy(a_card())
    holder = card
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = None
    with pytest.raises(UserError, match=f"field '{'.'.join(place)}' is None"):
        check_card(card, place="card")
    del holder[place[-1]]
    with pytest.raises(UserError, match=f"field '{'.'.join(place)}' is missing"):
        check_card(card, place="card")


def test_true_is_not_a_number_and_one_is_not_true() -> None:
    for field, value in (("runs", True), ("is_bimodal", 1)):
        latency = {**TIMING.to_json(), field: value}
        with pytest.raises(UserError, match=f"latency.{field}' is {value}"):
            a_card(files={"model.onnx": onnx_facts(latency=latency)})


def test_a_latency_that_nobody_predicted_is_null_and_further_fields_are_allowed() -> None:
    card = a_card(files={"model.onnx": onnx_facts(latency_predicted_ms=None)})
    check_card({**card, "note": "ours"}, place="card")


def test_a_card_of_a_newer_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**a_card(), "schema": 2}))
    with pytest.raises(UserError, match=r"has schema 2, this version reads 1"):
        read_card(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": "1"}', "\x00"])
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"card\.json"):
        read_card(path)


@given(place=st.floats(0, 1, exclude_max=True), put=st.binary(max_size=4))
def test_a_damaged_card_is_the_card_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, place: float, put: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "card.json"
    write_card(a_card(), path)
    content = path.read_bytes()
    start = int(place * len(content))
    path.write_bytes(
        content[:start] + put + content[start + len(put) :] if put else content[:start]
    )
    try:
        assert read_card(path) == json.loads(json.dumps(a_card()))
    except UserError as error:
        assert str(path) in str(error)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in a document."""
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inner, dict):
        return [path]
    return [path, *(place for name in inner for place in places(inner[name], (*path, name)))]


@given(
    place=st.sampled_from(places(json.loads(json.dumps(a_card())))[1:]),
    put=st.sampled_from([None, "x", [], {}, [[1]], {"a": None}, -1, True]),
)
def test_a_card_with_another_value_is_read_or_refused_by_a_message(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], put: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "card.json"
    card = json.loads(json.dumps(a_card()))
    inner = card
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = put
    path.write_text(json.dumps(card))
    try:
        read_card(path)
    except UserError as error:
        assert str(path) in str(error)


def test_a_missing_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_card(tmp_path / "card.json")


def test_a_number_that_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_card({**a_card(), "note": float("nan")}, tmp_path / "card.json")
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_the_old_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "card.json"
    old = a_card()
    write_card(old, path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_card(a_card(macs=11), path)
    assert read_card(path) == old


# The example


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """A folder with a model that names the brightest of four pixels, its card, and images."""
    node = helper.make_node("Flatten", ["images"], ["logits"])
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 1, 2, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph([node], "model", [images], [logits])
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (100, 1, 2, 2), dtype=np.uint8)
    labels = np.where(rng.random(100) < 0.7, pixels.reshape(100, 4).argmax(axis=1), 0)
    np.savez(tmp_path / "images.npz", images=pixels, labels=labels)
    found = verify(
        tmp_path,
        INPUT,
        ["model.onnx"],
        {"test": (pixels, labels)},
        task=task_of("classification"),
        num_outputs=4,
    )
    write_card(
        a_card(files={"model.onnx": onnx_facts(**found["model.onnx"])}), tmp_path / "card.json"
    )
    return tmp_path


def run_example(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", EXAMPLE, folder / "card.json", folder / "images.npz", *options]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_example_confirms_the_card_of_an_honest_file(member: Path) -> None:
    done = run_example(member)
    assert done.returncode == 0, done.stderr
    correct = read_card(member / "card.json")["files"]["model.onnx"]["accuracy"]["test"]["correct"]
    assert 0 < correct < 100
    assert done.stdout.count(f"{correct}/100") == 2


def test_the_example_fails_when_accuracy_or_digest_differ(member: Path) -> None:
    card = read_card(member / "card.json")
    facts = card["files"]["model.onnx"]
    facts["accuracy"]["test"]["correct"] += 1
    write_card(card, member / "card.json")
    done = run_example(member)
    assert done.returncode == 1
    assert done.stdout.count("DIFFERENT") == 1
    facts["accuracy"]["test"]["correct"] -= 1
    facts["sha256"] = "0" * 64
    write_card(card, member / "card.json")
    done = run_example(member)
    assert done.returncode == 1
    assert done.stdout.count("DIFFERENT") == 1


def test_the_example_refuses_a_split_that_the_card_does_not_have(member: Path) -> None:
    done = run_example(member, "--split", "search")
    assert done.returncode == 2
    assert "no split 'search'" in done.stderr
