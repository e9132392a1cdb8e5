"""The rules of placement, one by one, on traced networks."""

from collections.abc import Callable

import pytest
import torch
from torch import fx, nn

from compress.calibration.min_max import MinMax
from compress.placement import Placement, place, trace
from compress.quantize._apply import quantized
from compress.quantize._base import AbstractQuantization
from compress.quantize.fp32 import NoQuantization
from compress.quantize.int8 import Int8Quantization
from compress.quantize.int8w import Int8WeightQuantization
from search_spaces import SearchSpace
from search_spaces.operators._base import OPERATORS
from supernets._modules import Add
from supernets.fold import folded
from supernets.supernet import Supernet
from tests.strategies import slots_of


def formats(integer: str) -> Callable[[str], AbstractQuantization]:
    """Slots whose name starts with `integer` are int8, the others fp32."""
    return lambda name: Int8Quantization() if name.startswith(integer) else NoQuantization()


def placed(network: nn.Module, integer: str = "") -> tuple[fx.GraphModule, Placement]:
    graph = trace(network.eval())
    return graph, place(graph, formats(integer))


def folds(placement: Placement) -> list[tuple[str, str | None]]:
    """Every layer, and what is folded into it."""
    return [(layer.name, layer.activation) for layer in placement.layers]


def kinds(graph: fx.GraphModule, names: list[str]) -> list[str]:
    """What makes the values of these names."""
    modules = dict(graph.named_modules())
    found = []
    for node in graph.graph.nodes:
        if node.name in names:
            target = node.target
            name = type(modules[target]).__name__ if node.op == "call_module" else target
            found.append(name if isinstance(name, str) else name.__name__)
    return found


def network_of(supernet: Supernet, space: SearchSpace, **options: object) -> nn.Module:
    slots = slots_of(
        space, **{"width": 16, "depth": 1, "sparsity": 0, "expand_ratio": 2, "eca": 0, **options}
    )
    return folded(supernet.extract(slots))


def test_every_layer_of_an_integer_slot_is_integer(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace
) -> None:
    for operator in OPERATORS.names():
        network = network_of(random_supernet_of_all, mini_of_all, operator=operator)
        _, placement = placed(network)
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(placement.layers) == len(layers)


def test_nothing_is_quantized_where_no_slot_is_integer(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    _, placement = placed(network_of(random_supernet, mini, operator="mbconv"), "none of them")
    assert placement == Placement((), ())


def test_values_of_a_convolution_network_stay_on_the_grid_from_image_to_pool(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    graph, placement = placed(network_of(random_supernet, mini, operator="mbconv"))
    from_fp32 = [point.value for point in placement.points if not point.for_all]
    assert kinds(graph, from_fp32) == ["x_BCHW", "LayerNorm"], "the image, and the head's norm"
    on_grid = [point.value for point in placement.points if point.for_all]
    expected = {"ReLU6": 3 + 2 * 2, "Conv2d": 2, "Add": 2, "AdaptiveAvgPool2d": 1, "Linear": 1}
    found = kinds(graph, on_grid)
    assert {kind: found.count(kind) for kind in found} == expected


@pytest.mark.parametrize(
    ("operator", "norms", "activations", "mixes"),
    [("convnext", 1, 1, 0), ("window", 2, 1, 1), ("raft", 3, 3, 0)],
)
def test_norms_activations_and_attention_come_from_fp32(
    random_supernet: Supernet,
    mini: SearchSpace,
    operator: str,
    norms: int,
    activations: int,
    mixes: int,
) -> None:
    """Inputs of linear layers are norms, GELUs, and in attention the mixed values."""
    graph, placement = placed(network_of(random_supernet, mini, operator=operator))
    names = [point.value for point in placement.points if not point.for_all]
    sources = [_origin(graph, name) for name in names]
    assert sources.count("LayerNorm") == 2 * norms + 1, "two blocks, and the head"
    assert sources.count("GELU") == 2 * activations
    assert sources.count("matmul") == 2 * mixes


def _origin(graph: fx.GraphModule, name: str) -> str:
    """What made a value, before it was copied, padded, permuted or reshaped."""
    node = next(node for node in graph.graph.nodes if node.name == name)
    while node.op == "call_method" and node.target in ("permute", "reshape", "transpose"):
        node = node.all_input_nodes[0]
    return kinds(graph, [node.name])[0]


def test_shortcuts_of_transformer_like_blocks_stay_in_fp32(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    graph, placement = placed(network_of(random_supernet, mini, operator="window"))
    made = kinds(graph, [point.value for point in placement.points])
    assert "Add" not in made
    assert not [kind for kind in made if "add" in kind]


class Chain(nn.Module):
    """A convolution with an activation, read once or twice."""

    def __init__(self, activation: nn.Module, *, is_read_twice: bool = False) -> None:
        super().__init__()
        self.conv, self.skip, self.activation = nn.Conv2d(2, 2, 1), nn.Identity(), activation
        self.last, self.add, self.is_read_twice = nn.Conv2d(2, 2, 1), Add(), is_read_twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        z = self.last(self.activation(self.skip(y)))
        return self.add(y, z) if self.is_read_twice else z


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6()])
def test_a_relu_that_alone_reads_a_convolution_is_folded_into_it(activation: nn.Module) -> None:
    _, placement = placed(Chain(activation))
    assert folds(placement) == [("conv", "activation"), ("last", None)]
    assert [point.value for point in placement.points] == ["activation", "last", "x"]


def test_a_relu_is_not_folded_where_something_else_reads_the_convolution() -> None:
    _, placement = placed(Chain(nn.ReLU6(), is_read_twice=True))
    assert folds(placement)[0] == ("conv", None)


class Block(nn.Module):
    """As in ResNets: an activation behind the addition; and one behind a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.add, self.activation = nn.Conv2d(2, 2, 1), Add(), nn.ReLU()
        self.linear, self.behind = nn.Linear(4, 4), nn.ReLU()
        self.last = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.activation(self.add(x, self.conv(x)))
        return self.last(self.behind(self.linear(y)))


def test_a_relu_that_alone_reads_an_addition_or_a_linear_layer_is_folded_into_it() -> None:
    _, placement = placed(Block())
    assert folds(placement) == [("conv", None), ("linear", "behind"), ("last", None)]
    on_grid = [(point.value, point.source) for point in placement.points if point.for_all]
    assert ("activation", "add") in on_grid
    images = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    network = quantized(
        Block().eval(),
        lambda name: Int8Quantization(),
        [images],
        calibration=MinMax(),
        needs_reduced_range=False,
    )
    assert not [module for module in network.modules() if isinstance(module, nn.ReLU)]
    assert network.get_submodule("quantizer_activation")(torch.tensor([-1.0])) == 0.0


def test_channel_attention_stays_on_the_grid_but_for_its_gates(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    """The map, its mean and the scaled map are integers; the gates become so to scale them."""
    graph, placement = placed(network_of(random_supernet, mini, operator="mbconv", eca=1))
    on_grid = [point.value for point in placement.points if point.for_all]
    found = kinds(graph, on_grid)
    assert (found.count("Scale"), found.count("AdaptiveAvgPool2d")) == (2, 1 + 2)
    gates = [point for point in placement.points if not point.for_all and "reshape" in point.value]
    assert [kinds(graph, list(point.readers)) for point in gates] == [["Scale"], ["Scale"]]


@pytest.mark.parametrize("activation", [nn.GELU(), nn.Hardswish()])
def test_an_activation_that_is_not_linear_in_pieces_is_not_folded(activation: nn.Module) -> None:
    _, placement = placed(Chain(activation))
    assert folds(placement) == [("conv", None), ("last", None)]
    points = {point.value: point for point in placement.points}
    assert points["activation"].readers == ("last",)


def test_a_value_from_fp32_is_quantized_once_for_all_that_need_the_grid(
    random_supernet: Supernet, mini: SearchSpace
) -> None:
    """The input of an inverted residual behind fp32 is read by its expansion and its shortcut."""
    network = network_of(random_supernet, mini, operator="mbconv")
    graph, placement = placed(network, "stage1_block1")
    outside = [point for point in placement.points if not point.for_all]
    assert len(outside) == 1
    assert kinds(graph, list(outside[0].readers)) == ["Conv2d", "Add"]


def test_no_value_has_two_quantizers(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace
) -> None:
    for operator in OPERATORS.names():
        network = network_of(random_supernet_of_all, mini_of_all, operator=operator)
        graph = trace(network.eval())
        for integer in ("", "stage1", "stage2", "head"):
            placement = place(graph, formats(integer))
            values = [point.value for point in placement.points]
            assert len(values) == len(set(values))


def test_a_format_without_a_grid_replaces_layers_and_quantizes_no_value() -> None:
    graph = trace(Chain(nn.ReLU()).eval())
    placement = place(graph, lambda name: Int8WeightQuantization())
    assert folds(placement) == [("conv", None), ("last", None)]
    assert not any(layer.is_on_grid for layer in placement.layers)
    assert not placement.points


def test_what_a_format_without_a_grid_makes_is_quantized_for_readers_on_one() -> None:
    graph = trace(Chain(nn.ReLU()).eval())
    placement = place(
        graph, lambda name: Int8Quantization() if name == "last" else Int8WeightQuantization()
    )
    outside = [point for point in placement.points if not point.for_all]
    assert [(point.value, point.readers) for point in outside] == [("activation", ("last",))]
    assert isinstance(outside[0].quantization, Int8Quantization)
