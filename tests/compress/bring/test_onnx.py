"""Networks that are ONNX files answer, and can be pruned, as the networks that were exported."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from compress.bring.bring import Brought, bring, space_of
from compress.bring.files import bring_file, input_rule_in
from compress.bring.onnx._graph import OnnxNode
from compress.bring.onnx._names import path_of
from compress.bring.onnx.load import load_onnx
from compress.bring.onnx.operators import OPERATORS
from search_spaces import UserError
from search_spaces.traced._fragment import Fragment
from tests.compress.bring.exported import export
from tests.compress.bring.models import (
    ConvNeXt,
    Grouped,
    Inception,
    Mixer,
    Odd,
    ResNet,
    Swin,
    TorchViT,
    trained,
)

SIDE = 32
ATOL = 1e-4
FROM_FILES = (ResNet, ConvNeXt, TorchViT, Mixer, Swin, Inception, Grouped, Odd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


@cache
def original(model: type[nn.Module]) -> Brought:
    return bring(model.__name__, trained(model), channels=3, resolution=SIDE)


def of_file(path: Path) -> Brought:
    return bring_file(path, channels=3, resolution=SIDE)


def groups(brought: Brought) -> dict[str, int]:
    """Sizes of prunable groups, by name."""
    found: dict[str, int] = {}
    for part in brought.network.parts:
        sizes = Fragment.of_text(part.fragment).groups.values()
        found |= dict(zip(part.groups, sizes, strict=True))
    return found


def macs(brought: Brought) -> float:
    space = space_of(brought)
    assert space.costs is not None
    encoding = space.canonical([0] * len(space.choices))
    return float(space.costs.of("macs", np.array([encoding], int))[0])


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def check(model: type[nn.Module], path: Path) -> None:
    """Answers, multiply-adds, parts, groups and all their names are those of the network in torch."""
    network = load_onnx(path, channels=3, resolution=SIDE).network
    torch.testing.assert_close(network(images()), trained(model)(images()), rtol=0, atol=ATOL)
    found, own = of_file(path), original(model)
    assert macs(found) == macs(own)
    assert groups(found) == groups(own)
    assert [part.name for part in found.network.parts] == [part.name for part in own.network.parts]


@pytest.mark.parametrize("model", FROM_FILES, ids=lambda model: model.__name__)
def test_a_file_is_the_network_that_was_exported(model: type[nn.Module], folder: Path) -> None:
    check(model, export(trained(model), folder / f"{model.__name__}.onnx"))


@pytest.mark.parametrize("model", [TorchViT, Swin], ids=lambda model: model.__name__)
def test_a_fixed_number_of_images_becomes_free(model: type[nn.Module], folder: Path) -> None:
    check(model, export(trained(model), folder / f"{model.__name__}1.onnx", batch=1))


def test_norms_and_activations_that_are_spelled_out_are_known(folder: Path) -> None:
    path = export(trained(ConvNeXt), folder / "opset13.onnx", opset_version=13)
    check(ConvNeXt, path)
    ops, own = (
        [node.op for part in each.network.parts for node in Fragment.of_text(part.fragment).nodes]
        for each in (of_file(path), original(ConvNeXt))
    )
    for op in ("linear", "layer_norm", "gelu"):
        assert ops.count(op) == own.count(op)


@pytest.mark.parametrize(
    ("name", "weight", "scopes", "path"),
    [
        ("/layer1/layer1.0/conv1/Conv", "onnx::Conv_12", "", "layer1.0.conv1"),
        ("node_conv2d", "layer1.0.conv1.weight", "", "layer1.0.conv1"),
        ("node_Conv_3", "val_3", "['', 'stem', 'stem.0', 'conv2d']", "stem.0"),
        ("model/block1/conv/Conv2D", "const_fold_opt__12", "", "model.block1.conv"),
        ("Conv_7", "193", "", ""),
    ],
)
def test_names_of_parts_are_those_that_exporters_keep(
    name: str, weight: str, scopes: str, path: str
) -> None:
    assert path_of(OnnxNode("Conv", ("x", weight), ("y",), {}, name, scopes)) == path


def test_an_older_file_is_converted(folder: Path) -> None:
    check(Inception, export(trained(Inception), folder / "opset11.onnx", opset_version=11))


def small(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    *,
    shape: Sequence[int | str] = ("n", 1, 8, 8),
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("y",),
) -> onnx.ModelProto:
    """A file made by hand."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


node = helper.make_node
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(4, 1, 3, 3)).astype(np.float32)
MATRIX = RNG.normal(size=(4, 3)).astype(np.float32)
HEAD = [node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["f"])]
CLASSIFIER = [
    node("Conv", ["x", "kernel"], ["c"], name="stem/Conv"),
    *HEAD,
    node("MatMul", ["f", "matrix"], ["y"], name="fc/MatMul"),
]
WEIGHTS = {"kernel": KERNEL, "matrix": MATRIX}


def keras_like() -> onnx.ModelProto:
    """What tf2onnx writes: channels last, borders by name, a softmax."""
    bias = np.ones(3, np.float32)
    weights = {"kernel": np.repeat(KERNEL, 3, 1), "matrix": MATRIX, "bias": bias}
    weights["axes"] = np.array([2, 3])
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node(
            *("Conv", ["t", "kernel"], ["a"], "model/stem/Conv2D"),
            strides=[2, 2],
            auto_pad="SAME_UPPER",
        ),
        node("Relu", ["a"], ["r"], "model/relu/Relu"),
        node(
            *("MaxPool", ["r"], ["c"]), kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER"
        ),
        node("GlobalAveragePool", ["c"], ["p"]),
        node("Squeeze", ["p", "axes"], ["f"]),
        node("MatMul", ["f", "matrix"], ["m"], "model/fc/MatMul"),
        node("Add", ["m", "bias"], ["l"], "model/fc/BiasAdd"),
        node("Softmax", ["l"], ["y"], axis=-1),
    ]
    return small(nodes, weights, shape=("n", 9, 9, 3))


def test_files_with_channels_last_and_a_softmax_are_read(tmp_path: Path) -> None:
    path = saved(keras_like(), tmp_path / "keras.onnx")
    assert input_rule_in(path).resolution == 9
    found = bring_file(path, channels=3, resolution=9)
    assert [part.name for part in found.network.parts] == ["model.stem", "model.fc"]
    assert groups(found) == {"model.stem": 4}
    assert len(found.notes) == 2
    assert "Softmax at its end is left out" in found.notes[1]
    assert not found.left_alone


def test_a_file_of_halves_is_read_as_fp32(tmp_path: Path) -> None:
    halves = {name: array.astype(np.float16) for name, array in WEIGHTS.items()}
    path = saved(small(CLASSIFIER, halves, kind=TensorProto.FLOAT16), tmp_path / "half.onnx")
    found = bring_file(path, channels=1, resolution=8)
    assert found.notes == ("the file computes in fp16, and the network in fp32",)
    assert all(tensor.dtype == torch.float32 for tensor in found.weights.values())


def quantized() -> onnx.ModelProto:
    weights = {**WEIGHTS, "scale": np.float32(0.1), "zero": np.uint8(0)}
    grid = [node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="input_quantizer")]
    return small([*grid, *CLASSIFIER], weights)


def attention_of_a_runtime() -> onnx.ModelProto:
    fused = node("FusedConv", ["x", "kernel"], ["c"], name="fused", domain="com.microsoft")
    return small([fused, *CLASSIFIER[1:]], WEIGHTS)


def unknown() -> onnx.ModelProto:
    return small([node("NonZero", ["x"], ["z"], name="where"), *CLASSIFIER], WEIGHTS)


def impossible() -> onnx.ModelProto:
    turned = node("Reshape", ["matrix", "sizes"], ["m"])
    nodes = [turned, *CLASSIFIER[:-1], node("MatMul", ["f", "m"], ["y"])]
    return small(nodes, {**WEIGHTS, "sizes": np.array([5, 5])})


def without_its_weights(path: Path) -> onnx.ModelProto:
    model = small(CLASSIFIER, WEIGHTS)
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="weights.data")
    (path.parent / "weights.data").unlink()
    return onnx.load(path, load_external_data=False)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (quantized(), r"quantized already: it has QuantizeLinear \('input_quantizer'\)"),
        (attention_of_a_runtime(), r"not ONNX's own: FusedConv \('fused'\) of 'com.microsoft'"),
        (unknown(), r"operators that cannot be rebuilt: NonZero \('where'\)"),
        (small(CLASSIFIER, WEIGHTS, outputs=("y", "f")), "has 2 outputs: y, f. Bring a classifier"),
        (small(CLASSIFIER, WEIGHTS, shape=("n", 1, 8, 6)), "of 8x6 px, .* give --resolution 8x6"),
        (small(CLASSIFIER, WEIGHTS, shape=("n", 1, "h", 6)), "they have 8. Give --resolution 8x6"),
        (small(CLASSIFIER, WEIGHTS, shape=("n", 1, 8)), "of 3 axes, not 4"),
        (small(CLASSIFIER, WEIGHTS, kind=TensorProto.UINT8), "reads uint8, not reals"),
        (small(CLASSIFIER, WEIGHTS, shape=("n", 1, 9, 9)), "of 9 px, and they have 8"),
        (small(CLASSIFIER, WEIGHTS, shape=("n", 3, 8, 8)), "of 3 channels, and the data has 1"),
        (small(CLASSIFIER[:2], WEIGHTS, outputs=("p",)), "output has 4 axes, not 2"),
        (impossible(), "cannot be rebuilt: shape"),
    ],
)
def test_files_of_which_no_network_can_be_made_are_refused(
    model: onnx.ModelProto, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        bring_file(saved(model, tmp_path / "a.onnx"), channels=1, resolution=8)


def test_what_is_no_file_or_lacks_its_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no")
    (tmp_path / "empty.onnx").write_bytes(b"")
    without_its_weights(tmp_path / "beside.onnx")
    for name, message in (
        ("none.onnx", "there is no such file"),
        ("text.onnx", "is no ONNX file"),
        ("empty.onnx", "is no ONNX file"),
        ("beside.onnx", "has its weights in weights.data, which is not there"),
    ):
        with pytest.raises(UserError, match=message):
            bring_file(tmp_path / name, channels=1, resolution=8)


def test_a_graph_that_answers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where all answers are shares of many classes, and so as good as equal."""
    nodes = [
        CLASSIFIER[0],
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        HEAD[1],
        node("MatMul", ["f", "matrix"], ["l"]),
        node("Softmax", ["l"], ["y"], axis=-1),
    ]
    matrix = 0.1 * RNG.normal(size=(4, 1000)).astype(np.float32)
    path = saved(small(nodes, {**WEIGHTS, "matrix": matrix}), tmp_path / "a.onnx")
    load_onnx(path, channels=1, resolution=8)
    monkeypatch.setitem(OPERATORS, "Relu", lambda node, x: x)
    with pytest.raises(UserError, match="would answer otherwise than onnxruntime does"):
        load_onnx(path, channels=1, resolution=8)


def test_a_batch_that_is_part_of_what_is_computed_is_refused(tmp_path: Path) -> None:
    turned = [
        node("Conv", ["x", "kernel"], ["c"]),
        *HEAD,
        node("Transpose", ["f"], ["t"], perm=[1, 0]),
        node("Reshape", ["t", "sizes"], ["r"]),
        node("MatMul", ["r", "matrix"], ["y"]),
    ]
    weights = {**WEIGHTS, "sizes": np.array([2, 4])}
    path = saved(small(turned, weights, shape=(2, 1, 8, 8)), tmp_path / "a.onnx")
    with pytest.raises(UserError, match="cannot be rebuilt for any number of images, and is for 2"):
        bring_file(path, channels=1, resolution=8)
