"""Carrying out a placement: quantizers and integer layers put into the traced network."""

from collections.abc import Callable, Sequence

from torch import Tensor, fx, nn

from compress.placement import Placement, Point, place, trace
from compress.quantize._ranges import Range, observe
from compress.quantize.int8 import QuantizedConv2d, QuantizedLinear, Quantizer


def quantized(
    network: nn.Module,
    is_integer: Callable[[str], bool],
    batches: Sequence[Tensor],
    *,
    weight_max: int,
) -> fx.GraphModule:
    """A network whose integer slots compute on integer grids.

    Args:
        network: Folded, in evaluation mode.
        is_integer: Whether a module, by qualified name, belongs to an integer slot.
        batches: Calibration images, normalised, (B, C, H, W) each.
        weight_max: Largest weight: 127, or 63 where the processor needs a reduced range.
    """
    graph = trace(network)
    placement = place(graph, is_integer)
    layer_inputs = [_node(graph, name).all_input_nodes[0].name for name, _ in placement.layers]
    values = {*(point.value for point in placement.points), *layer_inputs}
    seen = observe(graph, values, batches)
    quantizers = {point.value: Quantizer(seen[point.value]) for point in placement.points}
    for name, activation in placement.layers:
        # A folded activation's quantizer belongs to the layer, whose node stays in the graph.
        quantizers[name] = quantizers[activation or name]
        _replace_layer(graph, name, activation, seen, quantizers, weight_max)
    for point in placement.points:
        _insert_quantizer(graph, point, placement, quantizers[point.value])
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph.eval()


def _replace_layer(
    graph: fx.GraphModule,
    name: str,
    activation: str | None,
    seen: dict[str, Range],
    quantizers: dict[str, Quantizer],
    weight_max: int,
) -> None:
    node = _node(graph, name)
    layer = graph.get_submodule(str(node.target))
    source = node.all_input_nodes[0]
    in_scale = quantizers[_grid_of(source, quantizers)].scale
    assert isinstance(in_scale, Tensor)
    output = quantizers[name]
    integer: nn.Module
    if isinstance(layer, nn.Conv2d):
        integer = QuantizedConv2d(layer, in_scale, output, weight_max)
    else:
        assert isinstance(layer, nn.Linear)
        inner_shape = seen[source.name].inner_shape
        integer = QuantizedLinear(layer, in_scale, output, weight_max, inner_shape)
    graph.set_submodule(str(node.target), integer)
    if activation:
        folded = _node(graph, activation)
        folded.replace_all_uses_with(node)
        graph.graph.erase_node(folded)


def _insert_quantizer(
    graph: fx.GraphModule, point: Point, placement: Placement, quantizer: Quantizer
) -> None:
    of_layers = {activation or name for name, activation in placement.layers}
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


def _grid_of(node: fx.Node, quantizers: dict[str, Quantizer]) -> str:
    """The quantized value that `node` is a copy, permutation or reshape of."""
    while node.name not in quantizers:
        node = node.all_input_nodes[0]
    return node.name


def _node(graph: fx.GraphModule, name: str) -> fx.Node:
    return next(node for node in graph.graph.nodes if node.name == name)
