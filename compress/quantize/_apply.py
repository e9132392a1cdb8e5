"""Carrying out a placement: quantizers and integer layers put into the traced network."""

from collections.abc import Mapping, Sequence

from torch import Tensor, fx, nn

from compress.calibration._base import AbstractCalibration
from compress.placement import Layer, Placement, Point, place, trace
from compress.quantize._base import LayerStats, QuantizationOf
from compress.quantize._ranges import Range, observe


def quantized(
    network: nn.Module,
    quantization_of: QuantizationOf,
    batches: Sequence[Tensor],
    *,
    calibration: AbstractCalibration,
    needs_reduced_range: bool,
) -> fx.GraphModule:
    """A network whose slots compute in their formats.

    Args:
        network: Folded, in evaluation mode.
        quantization_of: What a module, by qualified name, is quantized by.
        batches: Calibration images, normalised, (B, C, H, W) each.
        calibration: Decides the ranges of grids.
        needs_reduced_range: Whether sums of two 8-bit products saturate on the processor.
    """
    graph = trace(network)
    placement = place(graph, quantization_of)
    sources = {
        layer.name: _node(graph, layer.name).all_input_nodes[0]
        for layer in placement.layers
        if layer.is_on_grid
    }
    values = {point.value for point in placement.points} | {n.name for n in sources.values()}
    seen = observe(graph, values, batches, calibration) if values else {}
    quantizers = {point.value: _quantizer(point, seen) for point in placement.points}
    for layer in placement.layers:
        stats = None
        if layer.is_on_grid:
            source = sources[layer.name]
            # A folded activation's quantizer belongs to the layer, whose node stays in the graph.
            quantizers[layer.name] = quantizers[layer.activation or layer.name]
            stats = LayerStats(
                input=quantizers[_grid_of(source, quantizers)],
                output=quantizers[layer.name],
                inner_shape=seen[source.name].inner_shape,
                needs_reduced_range=needs_reduced_range,
            )
        _replace_layer(graph, layer, stats)
    for point in placement.points:
        _insert_quantizer(graph, point, placement, quantizers[point.value])
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph.eval()


def _quantizer(point: Point, seen: Mapping[str, Range]) -> nn.Module:
    assert point.quantization.quantizer is not None, "a format with a grid has a quantizer"
    return point.quantization.quantizer(seen[point.value])


def _replace_layer(graph: fx.GraphModule, layer: Layer, stats: LayerStats | None) -> None:
    node = _node(graph, layer.name)
    target = str(node.target)
    graph.set_submodule(target, layer.quantization.layer(graph.get_submodule(target), stats))
    if layer.activation:
        folded = _node(graph, layer.activation)
        folded.replace_all_uses_with(node)
        graph.graph.erase_node(folded)


def _insert_quantizer(
    graph: fx.GraphModule, point: Point, placement: Placement, quantizer: nn.Module
) -> None:
    of_layers = {layer.activation or layer.name for layer in placement.layers if layer.is_on_grid}
    if point.value in of_layers:
        return
    node = _node(graph, point.value)
    name = f"quantizer_{point.value}"
    graph.add_submodule(name, quantizer)
    with graph.graph.inserting_after(node):
        inserted = graph.graph.call_module(name, (node,))
    for user in list(node.users):
        if user is not inserted and (point.for_all or user.name in point.readers):
            user.replace_input_with(node, inserted)


def _grid_of(node: fx.Node, quantizers: Mapping[str, nn.Module]) -> str:
    """The quantized value that `node` is a copy, permutation or reshape of."""
    while node.name not in quantizers:
        node = node.all_input_nodes[0]
    return node.name


def _node(graph: fx.GraphModule, name: str) -> fx.Node:
    return next(node for node in graph.graph.nodes if node.name == name)
