"""Files that claim more than a machine has are refused by size, before memory is taken."""

import json
import resource
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from torch import nn

from compress.bring import _memory
from compress.bring._load import load_weights
from compress.bring.files import bring_file, input_rule_in
from nas.cli.app import main
from search_spaces import UserError
from tests.compress.bring.test_onnx import CLASSIFIER, WEIGHTS, saved, small

TERA = 10**12
MOST = 1 << 28
node = helper.make_node


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_memory, "most_bytes", lambda: MOST)


def grown(op: str, sizes: dict[str, np.ndarray], *inputs: str) -> onnx.ModelProto:
    """A classifier to whose scores something large is added, a sum of all of it."""
    nodes = [
        *CLASSIFIER[:-1],
        node("MatMul", ["f", "matrix"], ["l"]),
        node(op, list(inputs), ["large"], name="grows"),
        node("ReduceSum", ["large"], ["s"], keepdims=0),
        node("Cast", ["s"], ["real"], to=TensorProto.FLOAT),
        node("Add", ["l", "real"], ["y"]),
    ]
    return small(nodes, {**WEIGHTS, **sizes})


ONE = np.ones((1, 1), np.float32)
LONG = {"sizes": np.array([TERA])}
SQUARE = {"sizes": np.array([10**6, 10**6])}
RANGE = {"low": np.array(0), "high": np.array(TERA), "by": np.array(1)}
COLUMN = np.ones((10**5, 1), np.int64)


def unread() -> onnx.ModelProto:
    """What nothing reads, a runtime may compute."""
    nodes = [*CLASSIFIER, node("ConstantOfShape", ["sizes"], ["nothing"], name="grows")]
    return small(nodes, {**WEIGHTS, **LONG})


def doubled() -> onnx.ModelProto:
    """Each node makes twice what the one before made."""
    nodes = [node("Concat", [f"d{i}"] * 2, [f"d{i + 1}"], axis=0) for i in range(40)]
    return small([*nodes, *CLASSIFIER], {**WEIGHTS, "d0": np.arange(4)})


def of_images() -> onnx.ModelProto:
    nodes = [node("Tile", ["x", "times"], ["t"], name="grows"), *CLASSIFIER]
    return small(nodes, {**WEIGHTS, "times": np.array([1, 1, 10**5, 10**5])})


def of_functions() -> onnx.ModelProto:
    """Each uses the one before ten times."""
    model = small([node("f9", ["x"], ["z"], domain="own"), *CLASSIFIER], WEIGHTS)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    for i in range(10):
        op, domain = ("Identity", "") if i == 0 else (f"f{i - 1}", "own")
        body = [node(op, ["a"], [f"b{n}"], domain=domain) for n in range(10)]
        body.append(node("Identity", ["b0"], ["b"]))
        model.functions.append(helper.make_function("own", f"f{i}", ["a"], ["b"], body, opsets))
    return model


def initial(*, beside: bool) -> onnx.ModelProto:
    model = small(CLASSIFIER, WEIGHTS)
    tensor = model.graph.initializer.add()
    tensor.CopyFrom(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[TERA]))
    if beside:
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": "a.onnx", "offset": "0", "length": str(4 * TERA)}.items():
            tensor.external_data.add(key=key, value=value)
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (grown("ConstantOfShape", LONG, "sizes"), r"node 'grows' \(ConstantOfShape\) and .* 8 TB"),
        (grown("Expand", {**SQUARE, "one": ONE}, "one", "sizes"), r"'grows' \(Expand\)"),
        (grown("Expand", {**SQUARE, "n": ONE[0].astype(int)}, "n", "sizes"), r"'grows' \(Expand\)"),
        (grown("Tile", {**SQUARE, "one": ONE}, "one", "sizes"), r"'grows' \(Tile\)"),
        (
            grown("Range", RANGE, *RANGE),
            r"'grows' \(Range\)",
        ),
        (grown("Add", {"a": COLUMN, "b": COLUMN.T}, "a", "b"), r"'grows' \(Add\)"),
        (unread(), r"'grows' \(ConstantOfShape\)"),
        (doubled(), r"\(Concat\)"),
        (of_images(), r"'grows' \(Tile\)"),
        (of_functions(), "becomes more than 100000 nodes"),
        (initial(beside=False), "its arrays claim 4 TB"),
        (initial(beside=True), "its arrays claim 4 TB"),
        (small(CLASSIFIER, WEIGHTS, shape=(TERA, 1, 8, 8)), "make"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_an_onnx_file_that_grows_is_refused(
    model: onnx.ModelProto, message: str, tmp_path: Path
) -> None:
    path = saved(model, tmp_path / "a.onnx")
    before = peak_bytes()
    with pytest.raises(UserError, match=rf"cannot be read: .*{message}"):
        bring_file(path, channels=1, resolution=8)
    assert peak_bytes() - before < 4 * MOST


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_images_that_a_file_claims_to_be_for_are_refused_before_data_is_read(
    tmp_path: Path,
) -> None:
    path = saved(small(CLASSIFIER, WEIGHTS, shape=("n", 1, 10**6, 10**6)), tmp_path / "a.onnx")
    with pytest.raises(UserError, match="an image for it has 4 TB"):
        input_rule_in(path)


@pytest.mark.parametrize("name", ["a.onnx", "a.pt2", "a.safetensors"])
def test_a_file_of_terabytes_is_not_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(TERA)
    read: Callable[[], object] = partial(bring_file, path, channels=1, resolution=8)
    if name == "a.safetensors":
        read = partial(load_weights, nn.Linear(1, 1), path)
    with pytest.raises(UserError, match="the file has 1 TB"):
        read()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "a.pt2"
    network = nn.Sequential(nn.Conv2d(1, 4, 3), Constant(), nn.Flatten(), nn.Linear(144, 3)).eval()
    free = ({0: torch.export.Dim("batch", min=2, max=4096)},)
    images = torch.zeros(2, 1, 8, 8)
    torch.export.save(torch.export.export(network, (images,), dynamic_shapes=free), path)
    return path


class Constant(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.full((6,), 1.0).sum()


def rewritten(old: Path, new: Path, change: Callable[[str, bytes], bytes], packed: int = 0) -> Path:
    with zipfile.ZipFile(old) as given, zipfile.ZipFile(new, "w", packed) as archive:
        for name in given.namelist():
            archive.writestr(name, change(name, given.read(name)))
    return new


def with_large_weights(name: str, content: bytes) -> bytes:
    """A tensor of one number that claims, with strides of 0, to be many."""
    if not name.endswith("model_weights_config.json"):
        return content
    document = json.loads(content)
    meta = next(iter(document["config"].values()))["tensor_meta"]
    meta["sizes"] = [{"as_int": 10**6}, {"as_int": 10**6}]
    meta["strides"] = [{"as_int": 0}, {"as_int": 0}]
    return json.dumps(document).encode()


def with_a_large_constant(name: str, content: bytes) -> bytes:
    if not name.endswith("models/model.json"):
        return content
    document = json.loads(content)
    for each in document["graph_module"]["graph"]["nodes"]:
        if each["target"] == "torch.ops.aten.full.default":
            each["inputs"][0]["arg"] = {"as_ints": [TERA]}
    return json.dumps(document).encode()


def padded(name: str, content: bytes) -> bytes:
    return content + bytes(1 << 20) if name.endswith(("weight_0", "version")) else content


@pytest.mark.parametrize(
    ("change", "packed", "message"),
    [
        (with_large_weights, 0, "its arrays claim 4 TB"),
        (with_a_large_constant, 0, "its operations make 4 TB"),
        (padded, zipfile.ZIP_DEFLATED, r"unpacks to 3\.\d+ MB. Torch packs nothing"),
    ],
)
def test_a_program_that_grows_is_refused(
    change: Callable[[str, bytes], bytes], packed: int, message: str, exported: Path, tmp_path: Path
) -> None:
    path = rewritten(exported, tmp_path / "b.pt2", change, packed)
    with pytest.raises(UserError, match=rf"cannot be read: .*{message}"):
        bring_file(path, channels=1, resolution=8)


def test_a_program_within_the_limits_is_read(exported: Path) -> None:
    assert bring_file(exported, channels=1, resolution=8).network.num_classes == 3


def test_weights_that_grow_are_refused(tmp_path: Path) -> None:
    network = nn.Linear(4, 3)
    torch.save(network.state_dict(), tmp_path / "a.pt")
    load_weights(network, tmp_path / "a.pt")
    packed = rewritten(tmp_path / "a.pt", tmp_path / "b.pt", lambda n, c: c + bytes(1 << 20), 8)
    with pytest.raises(UserError, match="Torch packs nothing"):
        load_weights(network, packed)
    save_file(network.state_dict(), tmp_path / "c.safetensors")
    content = (tmp_path / "c.safetensors").read_bytes()
    claims = content.replace(b'"shape":[3,4]', b'"shape":[9999999,99999]')
    (tmp_path / "c.safetensors").write_bytes((len(claims) - 56).to_bytes(8, "little") + claims[8:])
    with pytest.raises(UserError, match="are no safetensors"):
        load_weights(network, tmp_path / "c.safetensors")


def test_it_is_one_message_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(unread(), tmp_path / "a.onnx")
    with pytest.raises(SystemExit) as end:
        main(["compress", str(path), "--data", "digits", "--resolution", "8"])
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert "cannot be read" in printed
    assert "Traceback" not in printed
