"""Of ONNX files what was learnt is trained further; masks, positions and constants stay."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from compress.bring.bring import bring, give_weights, space_of
from compress.bring.files import bring_file
from compress.bring.onnx._learnt import KIND, learnt_in
from supernets.supernet import Supernet
from tests.compress.bring.exported import export

SIDE, WIDTH, HEADS, WINDOW = 32, 16, 2, 4
TOKENS, MAP = WINDOW**2, SIDE // 4
PARAMETERS = (
    "table",
    "gamma",
    "positions",
    "qkv.weight",
    "qkv.bias",
    "norm.weight",
    "patch.weight",
)
CONSTANTS = ("mask", "mean", "std", "grid", "waves")


class Windows(nn.Module):
    """Liu et al., Swin (2021): shifted windows with a mask; with all kinds of constants."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.patch = nn.Conv2d(3, WIDTH, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, MAP, MAP, WIDTH) * 0.02)
        line = torch.linspace(-1, 1, MAP)
        at = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
        self.register_buffer("grid", at.repeat(1, 1, WIDTH // 2)[None])
        self.register_buffer("waves", torch.sin(at.repeat(1, 1, WIDTH // 2) * 3.0)[None])
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.gamma = nn.Parameter(torch.rand(WIDTH))
        self.table = nn.Parameter(torch.randn(HEADS, TOKENS, TOKENS) * 0.02)
        self.register_buffer("mask", self._mask())
        self.head = nn.Linear(WIDTH, 5)

    def _mask(self) -> Tensor:
        """-100 between tokens of a window that come from different sides of the map."""
        half = WINDOW // 2
        side = torch.zeros(1, MAP, MAP, 1)
        side[:, -half:] += 1
        side[:, :, -half:] += 2
        tokens = self._windows(side).squeeze(-1)
        return ((tokens[:, None] != tokens[:, :, None]) * -100.0)[:, None]

    def _windows(self, x: Tensor) -> Tensor:
        n = MAP // WINDOW
        x = x.view(-1, n, WINDOW, n, WINDOW, x.shape[-1]).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(-1, TOKENS, x.shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch((x - self.mean) / self.std).permute(0, 2, 3, 1)
        x = x + self.positions + self.grid + self.waves
        y = self._windows(torch.roll(self.norm(x), (-2, -2), (1, 2)))
        qkv = self.qkv(y).view(-1, TOKENS, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        scores = qkv[0] @ qkv[1].transpose(-2, -1) * (WIDTH // HEADS) ** -0.5 + self.table
        count = len(self.mask)
        scores = scores.view(-1, count, HEADS, TOKENS, TOKENS) + self.mask
        y = scores.view(-1, HEADS, TOKENS, TOKENS).softmax(-1) @ qkv[2]
        y = self.proj(y.transpose(1, 2).reshape(-1, TOKENS, WIDTH)) * self.gamma
        n = MAP // WINDOW
        y = y.view(-1, n, n, WINDOW, WINDOW, WIDTH).permute(0, 1, 3, 2, 4, 5)
        return self.head((x + y.reshape(-1, MAP, MAP, WIDTH)).mean((1, 2)))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    found = Windows().eval()
    nn.init.uniform_(found.norm.weight, 0.5, 1.5)
    return found


def has(tensors: Iterable[Tensor], wanted: Tensor) -> bool:
    """Whether one of some tensors is another, perhaps with other axes."""
    values = {tuple(t.flatten().tolist()) for t in tensors if t.numel() == wanted.numel()}
    return tuple(wanted.flatten().tolist()) in values


@pytest.mark.parametrize("from_file", [True, False])
def test_training_changes_what_was_learnt_and_nothing_else(
    network: nn.Module, from_file: bool, tmp_path: Path
) -> None:
    if from_file:
        found = bring_file(export(network, tmp_path / "a.onnx"), channels=3, resolution=SIDE)
    else:
        found = bring("windows", network, channels=3, resolution=SIDE)
    space = space_of(found)
    shared = Supernet(space)
    give_weights(shared, found)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    learnt = {name for name in PARAMETERS if has(shared.parameters(), before[name])}
    constant = {name for name in CONSTANTS if has(shared.buffers(), before[name])}
    assert learnt == {*PARAMETERS}
    assert constant == {*CONSTANTS}
    optimizer = torch.optim.SGD(shared.parameters(), lr=0.1)
    slots = space.slots(space.canonical([0] * len(space.choices)))
    for _ in range(2):
        scores = shared(torch.rand(8, 3, SIDE, SIDE), slots)
        functional.cross_entropy(scores, torch.arange(8) % 5).backward()
        optimizer.step()
    assert {name for name in CONSTANTS if has(shared.buffers(), before[name])} == constant
    assert not any(has(shared.parameters(), before[name]) for name in PARAMETERS)


RNG = np.random.default_rng(0)
node = helper.make_node


def learnt(
    nodes: list[onnx.NodeProto], kinds: dict[str, str] | None = None, **arrays: np.ndarray
) -> set[str]:
    """Which of the arrays of a graph that reads x were learnt."""
    real = onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, real, None) for name in ("x", "y")]
    given = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], given)
    for name, kind in (kinds or {}).items():
        info = graph.value_info.add(name=name)
        info.metadata_props.add(key=KIND, value=kind)
    return learnt_in(graph, arrays)


KERNEL, TABLE = RNG.normal(size=(4, 1, 3, 3)), RNG.normal(size=(1, 4, 6, 6))
CONV = node("Conv", ["x", "onnx::Conv_1"], ["c"])


@pytest.mark.parametrize(
    ("name", "table", "is_learnt"),
    [
        ("positions", TABLE, True),
        ("model/add/ReadVariableOp:0", TABLE, True),
        ("positions", np.zeros((1, 4, 6, 6)), True),
        ("onnx::Add_7", TABLE, False),
        ("val_3", TABLE, False),
        ("/blocks.0/Constant_output_0", TABLE, False),
        ("mask", np.where(TABLE > 0, 0.0, -np.inf), False),
        ("places", np.arange(144.0).reshape(1, 4, 6, 6), False),
        ("grid", np.broadcast_to(TABLE[:, :, :1], TABLE.shape), False),
        ("const_fold_opt__12", RNG.normal(size=(4, 1, 1)), True),
    ],
)
def test_names_and_numbers_tell_what_was_learnt(
    name: str, table: np.ndarray, is_learnt: bool
) -> None:
    """A vector behind a layer is its bias, whatever it is called."""
    found = learnt([CONV, node("Add", ["c", name], ["y"])], **{"onnx::Conv_1": KERNEL, name: table})
    assert found == {"onnx::Conv_1"} | ({name} if is_learnt else set())


def test_weights_are_known_behind_what_an_exporter_left_to_compute() -> None:
    """A weight norm; and what is done to images before the first layer is none."""
    arrays = {
        "v": KERNEL,
        "g": RNG.normal(size=(4, 1, 1, 1)),
        "mean": RNG.normal(size=(1, 3, 1, 1)),
    }
    nodes = [
        node("Sub", ["x", "mean"], ["s"]),
        node("Mul", ["v", "g"], ["w"]),
        node("Conv", ["s", "w"], ["y"]),
    ]
    assert learnt(nodes, **arrays) == {"v", "g"}


def test_what_an_exporter_says_holds() -> None:
    nodes = [CONV, node("Mul", ["c", "blur"], ["m"]), node("Add", ["m", "positions"], ["y"])]
    arrays = {"onnx::Conv_1": KERNEL, "blur": RNG.normal(size=(4, 1, 1)), "positions": TABLE}
    kinds = {"blur": "BUFFER", "positions": "BUFFER"}
    assert learnt(nodes, kinds, **arrays) == {"onnx::Conv_1"}
    assert learnt(nodes, {"blur": "PARAMETER"}, **arrays) == {*arrays}
