"""Where quantizers go. Decided once, on the traced network; simulation and export follow it.

Rules, for slots of an integer precision (measured on onnxruntime; see docs/decisions):

1. Convolutions and linear layers take inputs on the integer grid and put their outputs on it, so
   that the runtime has an integer kernel for them. Input, weight and output must all be quantized.
2. A ReLU that alone reads a convolution's output is folded into the output's range.
3. `Add` modules (the shortcuts of convolution blocks), `Scale` modules (channel attention) and
   average pooling stay on the grid.
   Shortcuts of transformer-like blocks are plain additions and stay in fp32.
4. Everything else (norms, softmax, GELU, attention products) computes in fp32. Copies, permutations
   and reshapes keep the grid their input is on.

A value has at most one quantizer. If it was made on the grid, all its readers see the quantized
value; if it comes from fp32, only readers that need the grid do.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import fx, nn

from supernets._modules import Add, Scale

LAYERS = (nn.Conv2d, nn.Linear)
WHOLE = (Add, Scale)
ON_GRID = (*WHOLE, nn.AdaptiveAvgPool2d)
FOLDABLE = (nn.ReLU, nn.ReLU6)
MOVES = frozenset({"permute", "reshape", "flatten", "transpose", "contiguous"})


@dataclass(frozen=True)
class Point:
    """A value that gets a quantizer.

    Attributes:
        value: Name of the node that makes it (the activation, where one is folded).
        for_all: Whether all readers see the quantized value, or only those in `readers`.
        readers: Names of nodes that need the grid, where `for_all` is false.
    """

    value: str
    for_all: bool
    readers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placement:
    """Everything that is quantized in a network.

    Attributes:
        layers: Names of nodes whose weights become integers, and of the activation folded into
            each, if any.
        points: Values with quantizers.
    """

    layers: tuple[tuple[str, str | None], ...]
    points: tuple[Point, ...]


class Tracer(fx.Tracer):
    """Keeps `Add` and `Scale` whole, so that placement can recognise them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Leaves are torch's own modules and those two."""
        return isinstance(m, WHOLE) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> fx.GraphModule:
    """The network as a graph of layers."""
    return fx.GraphModule(network, Tracer().trace(network))


def place(graph: fx.GraphModule, is_integer: Callable[[str], bool]) -> Placement:
    """Decide for every node of a traced, folded network.

    Args:
        graph: From `trace`.
        is_integer: Whether the slot that a module (by qualified name) belongs to is integer.
    """
    modules = dict(graph.named_modules())
    on_grid: set[fx.Node] = set()
    layers: list[tuple[str, str | None]] = []
    made: list[fx.Node] = []
    wanted: dict[fx.Node, list[str]] = {}
    folded: set[fx.Node] = set()

    def kind(node: fx.Node) -> nn.Module | None:
        return modules[str(node.target)] if node.op == "call_module" else None

    for node in graph.graph.nodes:
        module = kind(node)
        integer = module is not None and is_integer(str(node.target))
        if node in folded or _keeps_grid(node, module):
            if node in folded or node.all_input_nodes[0] in on_grid:
                on_grid.add(node)
        elif integer and isinstance(module, LAYERS + ON_GRID):
            for value in node.all_input_nodes:
                if value not in on_grid:
                    wanted.setdefault(value, []).append(node.name)
            activation = _only_reader(node, kind) if isinstance(module, nn.Conv2d) else None
            if isinstance(module, LAYERS):
                layers.append((node.name, activation.name if activation else None))
            if activation:
                folded.add(activation)
            made.append(activation or node)
            on_grid.add(node)
    points = [Point(node.name, for_all=True) for node in made]
    points += [Point(node.name, False, tuple(readers)) for node, readers in wanted.items()]
    return Placement(tuple(layers), tuple(points))


def _keeps_grid(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return isinstance(module, nn.Identity | nn.ReLU | nn.Dropout)
    return node.op == "call_method" and node.target in MOVES


def _only_reader(node: fx.Node, kind: Callable[[fx.Node], nn.Module | None]) -> fx.Node | None:
    """The foldable activation that is the only reader of `node`, through identities."""
    while len(node.users) == 1:
        (node,) = node.users
        module = kind(node)
        if isinstance(module, FOLDABLE):
            return node
        if not isinstance(module, nn.Identity):
            return None
    return None
