"""Exported files: what runs in integers, what answers they give, and that they are stable."""

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from compress import Compressed, export_onnx
from compress.export import OPSET
from nas.latency.measure import export_random
from search_spaces import CandidateError, SearchSpace, Slot, load_plugins, load_space
from supernets._modules import Add
from supernets.supernet import Supernet
from tests.onnx_graphs import (
    answers,
    compress_for_here,
    export,
    kernels,
    num_layers,
    require_biases_on_grids,
)
from tests.strategies import mini_space, noise, randomise_, slots_of

MIXED = {
    "fp32 then int8": {"stage1.precision": "fp32", "stage2.precision": "int8"},
    "int8 then fp32": {"stage1.precision": "int8", "stage2.precision": "fp32"},
}


class Exported(NamedTuple):
    """A compressed network and its file."""

    found: Compressed
    path: Path

    def count(self, kind: type[nn.Module]) -> int:
        """Layers of that kind before quantization."""
        return num_layers(self.found.fp32, kind)


@pytest.fixture(scope="module")
def exported(
    random_supernet: Supernet, mini: SearchSpace, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Exported]:
    """Networks of one operator in one precision, or with other policies; each made once."""
    folder = tmp_path_factory.mktemp("exported")
    largest = mini.candidate([n - 1 for n in mini.cardinalities]).arch

    @functools.cache
    def make(operator: str, precision: str) -> Exported:
        policy = MIXED.get(precision, dict.fromkeys(MIXED["fp32 then int8"], precision))
        arch = {n: operator if n.endswith("operator") else o for n, o in largest.items()}
        found = compressed(random_supernet, mini.slots(mini.encode({**arch, **policy})))
        return Exported(found, export(found.network, mini, folder / f"{operator}{precision}.onnx"))

    return make


def compressed(supernet: Supernet, slots: tuple[Slot, ...]) -> Compressed:
    return compress_for_here(
        supernet.extract(slots), slots, [noise(32, 1, 16, 16, seed=seed) for seed in range(2)]
    )


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("operator", ["basic", "convnext", "raft", "window"])
def test_mixed_precision_runs_both_kinds_of_kernels_and_agrees_with_its_simulation(
    exported: Callable[..., Exported], operator: str, policy: str
) -> None:
    made = exported(operator, policy)
    assert made.found.plan.precision == "mixed"
    ran = kernels(made.path)
    in_fp32 = ran["Conv"] + ran["FusedConv"]
    assert ran["QLinearConv"] > 0 < in_fp32
    assert ran["QLinearConv"] + in_fp32 == made.count(nn.Conv2d)
    images = noise(16, 1, 16, 16, seed=8)
    difference = made.found.network(images).detach().numpy() - answers(made.path, images)
    assert np.abs(difference).mean() < 0.05
    require_biases_on_grids(made.path)


def test_shortcuts_of_convolution_blocks_are_integer_and_relu6_is_folded(
    exported: Callable[..., Exported],
) -> None:
    made = exported("mbconv", "int8")
    ran = kernels(made.path)
    assert ran["QLinearAdd"] == made.count(Add) > 0
    assert not {"Clip", "Relu", "Add"} & ran.keys()
    assert ran["QuantizeLinear"] == ran["DequantizeLinear"] == 2, "image, logits, the head's norm"


def test_sums_of_what_feeds_a_slot_are_integer(plugins: Path, tmp_path: Path) -> None:
    load_plugins([plugins / "streams.py"])
    space = load_space("streams", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(("int8",), (0.0,))
    export_random(space.slots(space.encode({"right.exists": 0})), tmp_path / "network.onnx")
    ran = kernels(tmp_path / "network.onnx")
    assert ran["QLinearAdd"] == 4, "a sum of three maps, and two blocks' shortcuts"
    assert not {"Add", "Clip"} & ran.keys()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_shifted_windows_and_padded_maps_are_exported_too(tmp_path: Path, precision: str) -> None:
    space = mini_space(resolution=44, operators=("window",)).with_policy((precision,), (0,))
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    slots = slots_of(space)
    assert any(slot.signature.pick.get("shift") for slot in slots)
    found = compress_for_here(supernet.extract(slots), slots, [noise(8, 1, 44, 44)])
    path = export(found.network, space, tmp_path / "a.onnx")
    images = noise(2, 1, 44, 44, seed=3)
    expected = found.network(images).detach().numpy()
    atol = 1e-4 if precision == "fp32" else 0.3
    np.testing.assert_allclose(answers(path, images), expected, atol=atol)


def test_a_file_states_its_input_output_and_opset(exported: Callable[..., Exported]) -> None:
    model = onnx.load(exported("window", "int8").path)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [OPSET]
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["batch", 1, 16, 16], "logits": ["batch", 10]}


def test_weights_are_called_after_their_slot_and_nodes_have_names_of_their_own(
    exported: Callable[..., Exported],
) -> None:
    graph = onnx.load(exported("window", "int8").path).graph
    matrices = [t for t in graph.initializer if sum(side > 1 for side in t.dims) > 1]
    kernels = [tensor.name for tensor in matrices]
    slots = {name.partition(".")[0] for name in kernels}
    assert slots == {"s", "s1b1", "s1b2", "s2d", "s2b1", "s2b2", "h"}
    names = [node.name for node in graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    assert not any(node.doc_string for node in graph.node)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_exporting_twice_writes_the_same_bytes_and_changes_nothing(
    exported: Callable[..., Exported], mini: SearchSpace, tmp_path: Path, precision: str
) -> None:
    made = exported("window", precision)
    network = made.found.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert export(network, mini, tmp_path / "b.onnx").read_bytes() == made.path.read_bytes()
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())


def test_networks_stored_channels_last_are_written_contiguous(
    exported: Callable[..., Exported], mini: SearchSpace, tmp_path: Path
) -> None:
    made = exported("mbconv", "fp32")
    stored = copy.deepcopy(made.found.network).to(memory_format=torch.channels_last)
    assert export(stored, mini, tmp_path / "b.onnx").read_bytes() == made.path.read_bytes()


def test_what_onnx_has_no_word_for_is_a_candidate_error(tmp_path: Path) -> None:
    class Strange(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(x)

    with pytest.raises(CandidateError, match="cannot export to ONNX.*bessel_j0"):
        export_onnx(Strange().eval(), tmp_path / "a.onnx", shape=(1, 4, 4))
    assert not (tmp_path / "a.onnx").exists()


def test_a_network_that_cannot_run_is_our_bug(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="expected input") as error:
        export_onnx(nn.Conv2d(3, 4, 1).eval(), tmp_path / "a.onnx", shape=(1, 4, 4))
    assert not isinstance(error.value, CandidateError)
