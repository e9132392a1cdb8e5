"""Kernels of files against what the machine does at most."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from compress import export_onnx
from nas.latency.measure import export_random
from nas.latency.peaks import is_impossible
from nas.profiling.fused import FusedGraph, Kernel, fused_graph
from nas.profiling.kernels import Kernels, kernels_of
from nas.profiling.waterline import waterline, waterline_of
from nas.targets import choose
from nas.targets.onnxruntime import OnnxRuntime
from search_spaces import Options, SearchSpace, Shape
from supernets.fold import folded
from supernets.network import plain_module
from tests.nas.latency.test_peaks import PEAKS
from tests.nas.profiling.test_model_file import model
from tests.strategies import mini_space, signature, slots_of


@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-dynamic", "int4w"])
def test_kernels_have_the_multiply_adds_that_the_space_declares(
    precision: str, tmp_path: Path
) -> None:
    space = mini_space(operators=("basic", "convnext", "mbconv", "moat", "raft", "sra", "window"))
    space = space.with_policy((precision,), (0.0,))
    assert space.costs is not None
    encoding = space.canonical(space.sample(np.random.default_rng(4), 1)[0].tolist())
    export_random(space.slots(encoding), tmp_path / "m.onnx")
    graph = fused_graph(tmp_path / "m.onnx", batch=2)
    declared = int(space.costs.of("macs", np.array([encoding]))[0])
    assert sum(kernel.macs for kernel in graph.kernels) == 2 * declared
    assert [i for block in graph.blocks for i in block.kernels] == [*range(len(graph.kernels))]


def test_bytes_are_those_of_tensors_and_weights(tmp_path: Path) -> None:
    (kernel,) = fused_graph(model(tmp_path / "m.onnx")).kernels
    assert kernel.macs == 6 * 6 * 8 * 27
    assert kernel.weight_bytes == 4 * 8 * 27
    assert kernel.num_bytes == 4 * (3 * 8 * 8 + 8 * 27 + 8 * 6 * 6)
    assert (kernel.group, kernel.is_integer) == ("convolution", False)


class Dense(nn.Module):
    """Convolutions that read the maps of all before them, and a projection."""

    def __init__(self, width: int, growth: int, num_convs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth, 3, padding=1) for i in range(num_convs)
        )
        self.project = nn.Conv2d(width + num_convs * growth, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = torch.cat((x, conv(x)), dim=1)
        return self.project(x)


def test_one_shot_aggregation_moves_fewer_bytes_than_dense_connections(tmp_path: Path) -> None:
    """With as many multiply-adds in 3x3 convolutions: Lee et al. (2019), section 2."""
    shape, side = (64, 14, 14), 14
    pick = Options({"growth": 64, "num_convs": 5})
    block = folded(plain_module(signature("osa", pick, Shape.square(side, side, 64, 64))).eval())
    moved = []
    for name, module in (("osa", block), ("dense", Dense(64, 32, 5).eval())):
        export_onnx(module, tmp_path / f"{name}.onnx", shape=shape)
        kernels = fused_graph(tmp_path / f"{name}.onnx").kernels
        wide = sorted(kernels, key=lambda kernel: kernel.macs)[-5:]
        assert sum(kernel.macs for kernel in wide) == side**2 * 9 * 5 * 64**2
        moved.append(sum(kernel.num_bytes for kernel in kernels))
        if name == "osa":
            tensors, weights = 2 * 64 * side**2, 9 * 64**2 + 64
            assert {kernel.num_bytes for kernel in wide} == {4 * (tensors + weights)}
    assert moved[0] < moved[1]


def residual(file: Path, channels: int = 8, blocks: int = 2) -> Path:
    """Residual blocks of two convolutions each."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for i in range(blocks):
        for j in range(2):
            weight = rng.normal(0, 0.05, (channels, channels, 3, 3)).astype(np.float32)
            weights.append(numpy_helper.from_array(weight, f"w{i}{j}"))
        nodes += [
            helper.make_node("Conv", [f"x{i}", f"w{i}0"], [f"a{i}"], pads=[1] * 4),
            helper.make_node("Relu", [f"a{i}"], [f"b{i}"]),
            helper.make_node("Conv", [f"b{i}", f"w{i}1"], [f"c{i}"], pads=[1] * 4),
            helper.make_node("Add", [f"c{i}", f"x{i}"], [f"x{i + 1}"]),
        ]
    shape = ["n", channels, 32, 32]
    given = helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info(f"x{blocks}", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "residual", [given], [made], weights)
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), file)
    return file


def test_a_residual_block_is_what_perfect_fusion_makes_one_kernel(tmp_path: Path) -> None:
    graph = fused_graph(residual(tmp_path / "m.onnx"))
    assert len(graph.blocks) == 2
    assert sum(kernel.op == "FusedConv" for kernel in graph.kernels) >= 2
    tensor, weights = 4 * 8 * 32 * 32, 4 * 8 * 8 * 9
    assert [block.num_bytes for block in graph.blocks] == [2 * tensor + 2 * weights] * 2


KERNEL = Kernel(
    name="k",
    op="Conv",
    group="convolution",
    macs=0,
    outputs=100,
    num_bytes=0,
    weight_bytes=0,
    is_integer=False,
)


def test_a_kernel_takes_what_bounds_it() -> None:
    computes = replace(KERNEL, macs=50_000_000, num_bytes=400_000)  # 1 ms, 0.01 ms
    moves = replace(KERNEL, macs=50_000, num_bytes=400_000)  # 0.001 ms, 0.01 ms
    integers = replace(computes, is_integer=True)  # 0.25 ms
    starts = replace(KERNEL, op="Reshape")  # 0.00025 ms
    kernels = (computes, moves, integers, starts)
    found = waterline(FusedGraph(kernels=kernels, blocks=()), PEAKS)
    assert [bound.is_memory_bound for bound in found.bounds] == [False, True, False, False]
    assert found.ideal_ms == pytest.approx(1.251)
    assert found.predicted_ms == pytest.approx(0.01 + 1.0 + 0.01 + 0.25 + 0.00025)
    assert found.memory_bound_share == pytest.approx(0.01 / 1.26025)
    assert found.bounds[0].waterline == pytest.approx(4e10 / 5e10)
    assert [bound.kernel for bound in found.memory_bound(3)] == [moves]


def test_perfect_fusion_never_takes_longer(tmp_path: Path) -> None:
    found = waterline(fused_graph(residual(tmp_path / "m.onnx")), PEAKS)
    assert found.ideal_ms < found.fused_ms <= found.predicted_ms


def test_more_than_the_peak_is_no_efficiency() -> None:
    assert [is_impossible(e) for e in (0.2, 1.04, 1.06, None)] == [False, False, True, False]


def test_why_there_is_no_waterline_is_said(tmp_path: Path) -> None:
    assert "cannot be loaded" in str(
        waterline_of(model(tmp_path / "m.onnx", op="Unheard"), PEAKS, batch=1)
    )


def least_ms(call: Callable[[], None], number: int = 30) -> float:
    """What this process computes in the call that other work disturbed least."""
    found = []
    for _ in range(number):
        started = time.process_time()
        call()
        found.append(1e3 * (time.process_time() - started))
    return min(found)


def test_operators_together_take_what_the_file_takes(tmp_path: Path) -> None:
    """In one of ten tries at least: what disturbs operators makes the share larger."""
    file = residual(tmp_path / "m.onnx", channels=64, blocks=4)
    for _ in range(10):
        latency_ms = least_ms(OnnxRuntime().prepare(file, threads=1, batch=1))
        found = kernels_of(file, choose("onnxruntime"), budget_s=0.3)
        assert isinstance(found, Kernels)
        share = sum(each.ms for each in found.classes) / latency_ms
        if share >= 0.95:
            break
    assert share >= 0.95
    assert found.classes[0].name == "convolution"


def test_products_of_two_activations_are_attention(mini: SearchSpace, tmp_path: Path) -> None:
    export_random(slots_of(mini, operator="window"), tmp_path / "m.onnx")
    found = kernels_of(tmp_path / "m.onnx", choose("onnxruntime"), budget_s=0.05)
    assert isinstance(found, Kernels)
    ops = {node.op for node in found.nodes if not node.has_weights}
    assert {"attention", "matrix product"} <= {each.name for each in found.classes}
    assert ops & {"MatMul", "FusedMatMul"}
