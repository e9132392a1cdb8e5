"""Carrying out a placement: quantizers and integer layers put into the traced network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType

from torch import Tensor, fx, nn

from compress.calibration._base import AbstractCalibration
from compress.placement import Layer, Placement, Point, place, trace, uses_apart_
from compress.quantize._base import LayerStats, QuantizationOf
from compress.quantize._ranges import Range, observe
from supernets.checkpoint import under

QUANTIZER = "quantizer_"
"""How quantizers of their own are called."""

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


def quantized(
    network: nn.Module,
    quantization_of: QuantizationOf,
    batches: Sequence[Tensor],
    *,
    calibration: AbstractCalibration,
    needs_reduced_range: bool,
    learnt: Mapping[str, Tensor] = NOTHING,
) -> fx.GraphModule:
    """A network whose slots compute in their formats.

    Args:
        network: Folded or tuned, in evaluation mode.
        quantization_of: What a module, by qualified name, is quantized by.
        batches: Calibration images, normalised, (B, C, H, W) each, where the network is.
        calibration: Decides the ranges of grids.
        needs_reduced_range: Whether sums of two 8-bit products saturate on the processor.
        learnt: What training has decided about grids (`compress/aware.py`), by its names in the
            state of the network that is returned; the rest is calibrated.
    """
    graph = trace(network)
    uses_apart_(graph, quantization_of)
    placement = place(graph, quantization_of)
    sources = {
        layer.name: _node(graph, layer.name).all_input_nodes[0]
        for layer in placement.layers
        if layer.is_on_grid
    }
    values = {point.value for point in placement.points} | {n.name for n in sources.values()}
    seen = observe(graph, values, batches, calibration) if values else {}
    names = _quantizer_names(graph, placement)
    device = next(chain(graph.parameters(), batches)).device  # pooling alone has no parameters
    learnt = {name: tensor.to(device) for name, tensor in learnt.items()}
    quantizers = {
        point.value: _quantizer(point, seen, under(f"{names[point.value]}.", learnt)).to(device)
        for point in placement.points
    }
    for layer in placement.layers:
        stats = LayerStats(needs_reduced_range)
        if layer.is_on_grid:
            source = sources[layer.name]
            # A folded activation's quantizer belongs to the layer, whose node stays in the graph.
            quantizers[layer.name] = quantizers[layer.activation or layer.name]
            stats = replace(
                stats,
                input=quantizers[_grid_of(source, quantizers)],
                output=quantizers[layer.name],
                inner_shape=seen[source.name].inner_shape,
                largest_weight_C=learnt.get(f"{_node(graph, layer.name).target}.largest_weight"),
            )
        _replace_layer(graph, layer, stats)
    for point in placement.points:
        _insert_quantizer(graph, point, names[point.value], quantizers[point.value])
        if point.source:
            _leave_out_activation(graph, point)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph.eval()


def _quantizer_names(graph: fx.GraphModule, placement: Placement) -> dict[str, str]:
    """By value, what its quantizer is called: that of a layer's output belongs to the layer."""
    names = {point.value: f"{QUANTIZER}{point.value}" for point in placement.points}
    for layer in placement.layers:
        if layer.is_on_grid:
            names[layer.activation or layer.name] = f"{_node(graph, layer.name).target}.output"
    return names


def _quantizer(point: Point, seen: Mapping[str, Range], learnt: Mapping[str, Tensor]) -> nn.Module:
    assert point.quantization.quantizer is not None, "a format with a grid has a quantizer"
    quantizer = point.quantization.quantizer(seen[point.value])
    if learnt:
        quantizer.load_state_dict(learnt)
    return quantizer


def _replace_layer(graph: fx.GraphModule, layer: Layer, stats: LayerStats) -> None:
    target = str(_node(graph, layer.name).target)
    graph.set_submodule(target, layer.quantization.layer(graph.get_submodule(target), stats))


def _insert_quantizer(graph: fx.GraphModule, point: Point, name: str, quantizer: nn.Module) -> None:
    """Behind the value, unless a layer has it."""
    if not name.startswith(QUANTIZER):
        return
    node = _node(graph, point.value)
    graph.add_submodule(name, quantizer)
    with graph.graph.inserting_after(node):
        inserted = graph.graph.call_module(name, (node,))
    for user in list(node.users):
        if user is not inserted and (point.for_all or user.name in point.readers):
            user.replace_input_with(node, inserted)


def _leave_out_activation(graph: fx.GraphModule, point: Point) -> None:
    """The one that is folded into the range of what its source makes."""
    node = _node(graph, point.value)
    node.replace_all_uses_with(_node(graph, point.source))
    graph.graph.erase_node(node)


def _grid_of(node: fx.Node, quantizers: Mapping[str, nn.Module]) -> str:
    """The quantized value that `node` is a copy, permutation or reshape of."""
    while node.name not in quantizers:
        node = node.all_input_nodes[0]
    return node.name


def _node(graph: fx.GraphModule, name: str) -> fx.Node:
    return next(node for node in graph.graph.nodes if node.name == name)
