"""Which files can be timed, and how many multiply-adds they have."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.latency.measure import export_random
from nas.profiling import model_file
from nas.profiling.macs import UncountableError, count_macs
from nas.profiling.model_file import millions, read_files
from search_spaces import SearchSpace, UserError
from tests.strategies import uniform

SUMS_OVER_NEIGHBOURS = ("dvss", "lsconv", "tic", "transnext", "tvconv")
"""Operators whose files multiply maps with kernels of positions, which no ONNX operator says."""

Input = tuple[str, int, Sequence[Any] | None]
IMAGES: Input = ("images", TensorProto.FLOAT, ("batch", 3, 8, 8))


def model(
    path: Path, inputs: Sequence[Input] = (IMAGES,), *, op: str = "Conv", domain: str = ""
) -> Path:
    """A file of one node with weights (8, 3, 3, 3)."""
    weight = numpy_helper.from_array(np.full((8, 3, 3, 3), 0.1, np.float32), "weight")
    node = helper.make_node(op, [inputs[0][0], "weight"], ["out"], name="node", domain=domain)
    given = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "model", given, [out], [weight])
    opset = [helper.make_opsetid("", 20), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def read(path: Path, **options: Any) -> model_file.ModelFile:
    settings = {"batch": 1, "resolution": None, "folder": path.parent, **options}
    return read_files([path], **settings)[0]


@pytest.mark.parametrize(
    "operator",
    [
        *SUMS_OVER_NEIGHBOURS,
        *("cswin", "dsm", "efficientvmamba", "fdconv", "hornet", "hyperzzw", "mbconv", "msvmamba"),
        *("neighbourhood", "orchid", "svt", "vig", "window"),
    ],
)
def test_multiply_adds_are_those_that_the_space_declares(
    mini_of_all: SearchSpace, tmp_path: Path, operator: str
) -> None:
    assert mini_of_all.costs is not None
    encoding = uniform(mini_of_all, operator=operator, depth=1)
    export_random(mini_of_all.slots(encoding), tmp_path / "a.onnx")
    found = onnx.load(tmp_path / "a.onnx")
    if operator in SUMS_OVER_NEIGHBOURS:
        with pytest.raises(UncountableError):
            count_macs(found)
    else:
        assert count_macs(found) == mini_of_all.costs.of("macs", np.array([encoding]))[0]


def test_a_batch_that_the_file_fixes_does_not_count(tmp_path: Path) -> None:
    one = read(model(tmp_path / "free.onnx"))
    four = read(model(tmp_path / "four.onnx", [(*IMAGES[:2], (4, 3, 8, 8))]), batch=4)
    assert one.macs == four.macs == 6 * 6 * 8 * 27


@pytest.mark.parametrize(("op", "domain"), [("Einsum", ""), ("FusedConv", "com.microsoft")])
def test_there_is_no_number_where_an_operator_is_not_known(
    op: str, domain: str, tmp_path: Path
) -> None:
    path = model(tmp_path / "m.onnx", op=op, domain=domain)
    with pytest.raises(UncountableError, match=op):
        count_macs(onnx.load(path))
    found = read(path)
    assert found.macs is None
    assert op in found.uncounted
    assert millions(found.macs) == "?"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.mkdir(), "' is a folder. "),
        (lambda p: None, "there is no such file"),
        (lambda p: p.write_bytes(b""), "has no graph"),
        (lambda p: p.write_text("not a model"), "is no ONNX file"),
        (lambda p: model(p, [IMAGES, ("mask", 1, ("batch", 8))]), "has 2 inputs: 'images', 'mask'"),
        (lambda p: model(p, [("x", TensorProto.UINT8, IMAGES[2])]), "reads 'x' of uint8"),
        (lambda p: model(p, [("x", 1, None)]), "does not say how many axes"),
        (lambda p: model(p, [("x", 1, (2, 3, 8, 8))]), "Give it batch=2"),
        (lambda p: model(p, [("x", 1, ("n", 3, "h", 8))]), "Say which with --resolution"),
        (lambda p: model(p, [("x", 1, ("n", "c", 8, 8))]), "free sizes (n, c, 8, 8)"),
        (lambda p: model(p, [("x", 1, ("n", "tokens"))]), "free sizes (n, tokens)"),
    ],
)
def test_a_file_that_cannot_be_timed_is_one_message(
    make: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "m.onnx")
    with pytest.raises(UserError) as raised:
        read(tmp_path / "m.onnx")
    assert message in str(raised.value)
    assert str(tmp_path / "m.onnx") in str(raised.value)


def test_free_sides_are_set_in_a_copy(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx", [("x", 1, ("n", 3, "h", "w"))])
    before = path.read_bytes()
    (folder := tmp_path / "copies").mkdir()
    found = read(path, resolution=(8, 10), folder=folder)
    assert path.read_bytes() == before
    assert found.timed.parent == folder
    dims = onnx.load(found.timed).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [0, 3, 8, 10]
    assert found.macs == 6 * 8 * 8 * 27


def test_another_resolution_than_the_file_has_is_refused(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx")
    assert read(path, resolution=(8, 8)).timed == path
    with pytest.raises(UserError, match="--resolution is 8x9"):
        read(path, resolution=(8, 9))


def test_weights_beside_a_file_count_and_must_be_there(tmp_path: Path) -> None:
    path = model(tmp_path / "m.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    weights = tmp_path / "w.bin"
    assert read(path).num_bytes == path.stat().st_size + weights.stat().st_size
    weights.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="weights in 'w.bin', which does not lie beside it"):
        read(path)


def test_files_that_do_not_fit_into_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "environment", lambda: {"memory_bytes": 1000})
    with pytest.raises(UserError, match="of memory together"):
        read(model(tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("macs", "text"), [(7776, "0.00778M"), (31_021_952, "31M"), (4_123_456_789, "4123M")]
)
def test_multiply_adds_have_three_digits(macs: int, text: str) -> None:
    assert millions(macs) == text
