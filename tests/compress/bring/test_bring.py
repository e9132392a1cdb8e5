"""Networks that users bring: read, cut into fragments, pruned, quantized, exported, loaded."""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from compress.apply import compress
from compress.artefact import write_artefact
from compress.bring.bring import Brought, bring, give_weights, read_brought, save_brought, space_of
from compress.store import load_network
from nas.latency.measure import export_random
from search_spaces import Options, SearchSpace, Shape, Signature, UserError, input_shape
from search_spaces.traced._axes import BATCH
from search_spaces.traced._fragment import Fragment, Node
from search_spaces.traced.operator import FRAGMENT
from supernets.network import module_name
from supernets.supernet import Supernet
from supernets.traced.fragment import PlainFragment
from tests.compress.bring.models import (
    MODELS,
    ConvNeXt,
    DenseNet,
    Inception,
    MobileNet,
    Odd,
    ResNet,
    SimpleNet,
    TorchViT,
    ViT,
    trained,
)

SIDE = 32
ATOL = 1e-4
EVERY = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


@cache
def brought(model: type[nn.Module]) -> Brought:
    return bring(model.__name__, trained(model), channels=3, resolution=SIDE)


@cache
def supernet(model: type[nn.Module]) -> Supernet:
    space = space_of(brought(model)).with_policy(("fp32", "int8"), (0.0, 0.25, 0.5, 0.75))
    found = Supernet(space).eval()
    give_weights(found, brought(model))
    found.rank()
    return found


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def members(space: SearchSpace, count: int = 3) -> list[tuple[int, ...]]:
    rows = space.sample(np.random.default_rng(0), count)
    return [space.canonical(row) for row in rows.tolist()]


def unpruned(space: SearchSpace) -> tuple[int, ...]:
    return space.canonical([0] * len(space.choices))


@EVERY
@torch.no_grad()
def test_the_largest_member_answers_as_the_network_that_was_brought(model: type[nn.Module]) -> None:
    shared = supernet(model)
    slots = shared.space.slots(unpruned(shared.space))
    expected = trained(model)(images())
    torch.testing.assert_close(shared(images(), slots), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(shared.extract(slots)(images()), expected, rtol=0, atol=1e-5)


DEPTHS = {
    ResNet: {"layer1": 3, "layer2": 2, "layer3.1": 1},
    MobileNet: {"features.1.conv": 1, "features.3.conv": 1, "features.5.conv": 1},
    ConvNeXt: {"stage1": 2, "stage2.0": 1},
    ViT: {"blocks": 2, "blocks.2": 1},
    DenseNet: {},
    Inception: {},
}
"""By model and stage, how many of its blocks may be left out."""


@pytest.mark.parametrize("model", DEPTHS, ids=lambda model: model.__name__)
def test_blocks_that_add_to_what_they_read_may_be_left_out(model: type[nn.Module]) -> None:
    stages = brought(model).network.stages
    assert {stage.name: len(stage.blocks) for stage in stages} == DEPTHS[model]


@torch.no_grad()
def test_a_network_without_a_block_answers_as_if_the_block_did_nothing() -> None:
    shared = supernet(ResNet)
    space = shared.space
    options = {choice.name: choice.options[0] for choice in space.choices}
    slots = space.slots(space.encode({**options, "layer1.depth": 2}))
    assert "layer1.1" in [slot.name for slot in slots]
    assert "layer1.2" not in [slot.name for slot in slots]
    network = copy.deepcopy(trained(ResNet))
    network.layer1[2] = nn.Identity()
    torch.testing.assert_close(
        shared.extract(slots)(images()), network(images()), rtol=0, atol=1e-5
    )


@EVERY
def test_costs_are_those_that_torch_counts(model: type[nn.Module]) -> None:
    shared = supernet(model)
    space = shared.space
    assert space.costs is not None
    for encoding in [unpruned(space), *members(space)]:
        network, row = shared.extract(space.slots(encoding)), np.array([encoding])
        counter = FlopCounterMode(display=False)
        with counter:
            network(images(1))
        assert space.costs.of("macs", row)[0] == counter.get_total_flops() / 2
        params = sum(parameter.numel() for parameter in network.parameters())
        assert space.costs.of("params", row)[0] == params


@EVERY
@torch.no_grad()
def test_files_of_a_pruned_and_quantized_member_answer_as_it_does(
    model: type[nn.Module], tmp_path: Path
) -> None:
    shared = supernet(model)
    (encoding,) = members(shared.space, 1)
    slots = shared.space.slots(encoding)
    deployed = compress(shared.extract(slots), slots, [images()]).network
    expected = deployed(images()).numpy()
    for kind in (".onnx", ".safetensors"):
        write_artefact(kind, deployed, slots, tmp_path / f"network{kind}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", options)
    (answered,) = session.run(None, {"images": images().numpy()})
    scale = np.abs(expected).max()
    np.testing.assert_allclose(answered, expected, rtol=0, atol=0.1 * scale)  # a step of a grid
    loaded = load_network(tmp_path / "network.safetensors")
    np.testing.assert_array_equal(loaded(images()).numpy(), expected)
    assert shared.space.costs is not None
    declared = shared.space.costs.of("size_bytes", np.array([encoding]))[0]
    assert declared == pytest.approx((tmp_path / "network.onnx").stat().st_size, rel=0.35, abs=1000)


@pytest.mark.parametrize(
    "model", [ResNet, MobileNet, Inception, SimpleNet], ids=lambda model: model.__name__
)
@torch.no_grad()
def test_a_pruned_member_is_the_network_without_what_was_pruned(model: type[nn.Module]) -> None:
    """Where a map is 0 after its norm it is as if its channel were not there."""
    shared = supernet(model)
    space = shared.space
    for encoding in members(space):
        (fp32,) = space.in_precision(np.array([encoding]), "fp32")
        slots = space.slots(fp32)
        small = shared.extract(slots)
        fp32[space.columns("sparsity")] = 0
        masked = shared.extract(space.slots(fp32))
        mask(masked, shared, slots)
        torch.testing.assert_close(small(images()), masked(images()), rtol=0, atol=ATOL)


def mask(network: nn.Module, shared: Supernet, slots: tuple) -> None:
    """Zeroes what makes the members of groups that are left out: kernels, and norms behind them."""
    for slot in slots:
        name = slot.name.replace(".", "_")
        elastic = shared.slots[name].operators["fragment"]
        fragment = Fragment.of_text(slot.signature.pick.text("fragment"))
        for group, size in fragment.groups.items():
            kept = elastic.kept(group, size, slot.signature)
            lost = torch.ones(size, dtype=torch.bool)
            lost[torch.arange(kept) if isinstance(kept, int) else kept] = False
            for node in fragment.nodes:
                for weight, axes in node.weights.items():
                    if axes[0] == (group,) and weight in ("weight", "bias"):
                        network.get_submodule(f"{name}.{node.name}").get_parameter(weight)[lost] = 0
                    if axes[0] == (group,) and weight == "running_mean":
                        network.get_submodule(f"{name}.{node.name}").get_buffer(weight)[lost] = 0


@pytest.mark.filterwarnings("ignore:Unwrapped parameters detected")
@pytest.mark.parametrize(
    "model", [ResNet, MobileNet, ConvNeXt, DenseNet], ids=lambda model: model.__name__
)
def test_layers_that_lose_channels_together_are_those_of_torch_pruning(
    model: type[nn.Module],
) -> None:
    network = model().eval()
    graph = torch_pruning.DependencyGraph().build_dependency(network, images(1))
    theirs: set[frozenset[str]] = set()
    names = {module: name for name, module in network.named_modules()}
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        made = {
            names[dep.target.module]
            for dep, _ in group
            if dep.target.module in names
            and isinstance(dep.target.module, nn.Conv2d | nn.Linear)
            and graph.is_out_channel_pruning_fn(dep.handler)
        }
        theirs.add(frozenset(made))
    last = list(names.values())[-1]
    assert our_groups(network) == {group for group in theirs if last not in group}


@pytest.mark.parametrize(
    ("model", "block", "reader"),
    [(ResNet, "layer1.0", "layer1.0.conv2"), (ViT, "blocks.0.mlp", "blocks.0.mlp.2")],
    ids=["ResNet", "ViT"],
)
def test_taylor_is_the_squared_derivative_by_a_gate_on_what_is_read(
    model: type[nn.Module], block: str, reader: str
) -> None:
    labels = torch.arange(4)
    network, maps = trained(model), []
    hook = network.get_submodule(reader).register_forward_pre_hook(lambda _, x: maps.append(x[0]))
    loss = functional.cross_entropy(network(images()), labels)
    hook.remove()
    (slope,) = torch.autograd.grad(loss, maps)
    channel = 1 if maps[0].ndim == 4 else 2
    expected = (slope * maps[0]).movedim(channel, 0).flatten(1).sum(1).square()
    shared = Supernet(supernet(model).space).eval()
    give_weights(shared, brought(model))
    logits = shared(images(), shared.space.slots(unpruned(shared.space)))
    parameters = tuple(shared.parameters())
    found = torch.autograd.grad(functional.cross_entropy(logits, labels), parameters)
    shared.rank("taylor", gradients=[dict(zip(parameters, found, strict=True))])
    slot = next(s for s in shared.space.slots(unpruned(shared.space)) if s.name == block)
    importances = [
        buffer
        for name, buffer in shared.slots[module_name(slot.name)].named_buffers()
        if "importance_" in name and buffer.shape == expected.shape
    ]
    assert any(torch.allclose(own, expected, rtol=1e-3, atol=1e-10) for own in importances)


def test_a_group_is_ranked_by_what_makes_it_in_one_slot_and_reads_it_in_another() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 4, 3)
    with torch.no_grad():
        second.weight[:, ::2] *= 100
    network = nn.Sequential(first, nn.ReLU(), second, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = bring("chain", network.eval(), channels=3, resolution=SIDE)
    shared = Supernet(space_of(found).with_policy(("fp32",), (0.0, 0.5)))
    give_weights(shared, found)
    shared.rank()
    encoding = [len(choice.options) - 1 for choice in shared.space.choices]
    pruned = shared.extract(shared.space.slots(shared.space.canonical(encoding)))
    kept = next(p for p in pruned.parameters() if p.shape == (8, 3, 3, 3))
    assert torch.equal(kept, first.weight[::2])


def our_groups(network: nn.Module) -> set[frozenset[str]]:
    """Names of the layers whose outputs are of one group."""
    from compress.bring._axes import groups_in
    from compress.bring._read import read
    from compress.bring._trace import graph_of
    from compress.bring.rules import apply_rule

    reading, _, _ = read(graph_of(network, images(2)), apply_rule)
    found: dict[int, set[str]] = {}
    for atoms, operation in reading.made:
        for atom in groups_in(atoms):
            found.setdefault(id(atom), set()).add(operation.path)
    return {frozenset(layers) for layers in found.values()}


def test_heads_and_their_channels_are_groups_of_their_own() -> None:
    for model in (ViT, TorchViT):
        network = brought(model).network
        block = next(part for part in network.parts if "attention" in part.fragment)
        width, heads, channels = Fragment.of_text(block.fragment).groups.values()
        assert heads == 4
        assert heads * channels == width


def test_equal_blocks_are_equal_texts() -> None:
    parts = {part.name: part.fragment for part in brought(ResNet).network.parts}
    assert parts["layer1.0"] == parts["layer1.1"]
    assert parts["layer2.1"] == parts["layer2.2"] != parts["layer3.1"]


def test_every_layer_of_a_plain_network_can_be_pruned_alone() -> None:
    network = brought(SimpleNet).network
    assert len({choice for _, choice in network.choices}) == 13
    assert sum(p.ndim == 4 for p in SimpleNet().parameters()) == 13
    with torch.device("meta"):
        paper = SimpleNet(width=1)
    assert sum(p.numel() for p in paper.parameters() if p.ndim > 1) == 5_484_736


def test_a_residual_stream_is_one_choice() -> None:
    network = brought(ResNet).network
    streams = {part.groups[0] for part in network.parts if part.name.startswith("layer1")}
    assert len(streams) == 1


def test_what_no_rule_knows_is_carried_out_and_named() -> None:
    found = brought(Odd)
    assert found.left_alone == (("aten.cumsum.default", ""),)
    assert [part.groups for part in found.network.parts] == [("stem",), ("stem",), ()]


def test_the_space_is_what_its_json_says() -> None:
    space = supernet(ViT).space
    again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again.choices == space.choices
    assert again.slots(unpruned(again)) == space.slots(unpruned(space))


def test_it_is_read_back_without_the_code_that_made_it(tmp_path: Path) -> None:
    save_brought(brought(ConvNeXt), tmp_path / "brought.safetensors")
    again = read_brought(tmp_path / "brought.safetensors")
    assert again.network == brought(ConvNeXt).network
    assert all(again.weights[n].equal(t) for n, t in brought(ConvNeXt).weights.items())


def test_every_slot_can_be_timed_alone(tmp_path: Path) -> None:
    space = supernet(ViT).space
    for slot in space.slots(members(space, 1)[0])[:3]:
        export_random([slot], tmp_path / "slot.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "slot.onnx")
        shape = session.get_inputs()[0].shape[1:]
        assert tuple(shape) == input_shape(slot.signature)


class Mixing(nn.Module):
    """A network with something between two layers that have the names of one module."""

    def __init__(self, mix: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.mix = mix
        self.layers = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(3)))
        self.layers_2 = nn.Conv2d(3, 3, 1)
        self.bias = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(self.layers_2(self.layers(x)))
        return functional.layer_norm(x.mean((2, 3)), (3,), 1 + self.bias, 2 * self.bias)


def written_into(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, 1:] = x[:, :-1]
    return y


@pytest.mark.parametrize("mix", [written_into, lambda x: (8 * x).to(torch.int32).float()])
def test_what_would_answer_otherwise_is_refused(mix: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(UserError, match="'network' cannot be brought: what was read of it answers"):
        bring("network", Mixing(mix).eval(), channels=3, resolution=SIDE)


def test_weights_may_be_computed_and_modules_called_as_others_are_renamed() -> None:
    """`bring` refuses what answers otherwise."""
    found = bring("network", Mixing(nn.Identity()).eval(), channels=3, resolution=SIDE)
    assert ("aten.layer_norm.default", "") in found.left_alone
    assert len({module_name(part.name) for part in found.network.parts}) == 4


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 3, 1), Branches()),
            "cannot be traced at .*test_bring.py', line",
        ),
        (nn.Conv2d(3, 4, 3), "output has 4 axes, not 2"),
        (nn.Conv2d(1, 4, 3), "cannot be called with images of 3 channels and 32 px: RuntimeError"),
    ],
)
def test_what_is_no_classifier_of_such_images_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        bring("network", network.eval(), channels=3, resolution=SIDE)


@pytest.mark.parametrize(
    ("op", "settings"),
    [
        ("save", {"args": ["written"]}),
        ("load", {}),
        (
            "call",
            {"target": "aten.from_file.default", "args": ["written", True, 8], "keywords": {}},
        ),
        ("call", {"target": "os.system.default", "args": ["true"], "keywords": {}}),
    ],
)
def test_a_file_names_no_operation_that_opens_files(
    op: str, settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    node = Node("n", op, ("x",), ((BATCH,), (3,)), {}, settings)
    fragment = Fragment((node,), ((BATCH,), (3,)), {}, {})
    signature = Signature(
        FRAGMENT, Shape((1, 1), (1, 1), 3, 3), Options({FRAGMENT: fragment.text}), Options(), "fp32"
    )
    with pytest.raises(ValueError, match="is no operation"):
        PlainFragment(signature)(torch.zeros(2, 3))
    assert not list(tmp_path.iterdir())
