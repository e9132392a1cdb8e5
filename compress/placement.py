"""Where quantizers go. Decided once, on the traced network; simulation and export follow it.

Every module follows the format of its slot, which says what it replaces and what it puts on an
integer grid (`compress/quantize/`). Rules for modules on a grid:

1. They take inputs on the grid and put their outputs on it, so that the runtime has an integer
   kernel for them. Input, weight and output must all be quantized (measured on onnxruntime).
2. A ReLU that alone reads the output of a convolution, a linear layer or an addition is folded into
   the output's range: it would keep the runtime from integer kernels on both sides of it.
3. Copies, permutations and reshapes keep the grid their input is on. Everything else computes in
   fp32.

A value has at most one quantizer: that of the format that made it or, if it comes from fp32, of its
first reader on a grid. If it was made on the grid, all its readers see the quantized value; if it
comes from fp32, only readers that need the grid do.
"""

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import fx, nn

from compress.quantize._base import AbstractQuantization, QuantizationOf
from supernets._merged import AbstractMerged
from supernets._modules import Add, Scale
from supernets.tune import FoldedNorm, FrozenNorm, TunedConv2d

WHOLE = (Add, Scale, TunedConv2d, FoldedNorm, FrozenNorm, AbstractMerged)
FOLDABLE = (nn.ReLU, nn.ReLU6)
FOLDED_INTO = (nn.Conv2d, nn.Linear, Add)
MOVES = frozenset({"permute", "reshape", "flatten", "transpose", "contiguous"})


@dataclass(frozen=True)
class Layer:
    """A module that its format replaces.

    Attributes:
        name: Of its node.
        quantization: The format.
        is_on_grid: Whether its input and output are quantized.
        activation: Name of the node folded into it, if any.
    """

    name: str
    quantization: AbstractQuantization
    is_on_grid: bool
    activation: str | None


@dataclass(frozen=True)
class Point:
    """A value that gets a quantizer.

    Attributes:
        value: Name of the node that makes it (the activation, where one is folded).
        quantization: The format whose quantizer it gets.
        for_all: Whether all readers see the quantized value, or only those in `readers`.
        readers: Names of nodes that need the grid, where `for_all` is false.
        source: Name of the node that makes it but for a folded activation; "" if none is folded.
    """

    value: str
    quantization: AbstractQuantization
    for_all: bool
    readers: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Placement:
    """Everything that is quantized in a network."""

    layers: tuple[Layer, ...]
    points: tuple[Point, ...]


AGAIN = "_again"
"""Between the name of a layer and the number of a further use of it."""


class Tracer(fx.Tracer):
    """Keeps what placement must recognise whole: `Add`, `Scale`, tuned layers, what is merged."""

    proxy_buffer_attributes = True
    """Buffers, such as indices of a network that was brought, are read from the state."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Leaves are torch's own modules and those."""
        return isinstance(m, WHOLE) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> fx.GraphModule:
    """The network as a graph of layers."""
    return fx.GraphModule(network, Tracer().trace(network))


def uses_apart_(graph: fx.GraphModule, quantization_of: QuantizationOf) -> None:
    """Gives every further use of a layer on a grid a module of its own, in place.

    A layer that is used several times reads another range of values each time, and a value has a
    grid of its own. The modules are copies; files hold equal numbers once.
    """
    uses: Counter[str] = Counter()
    for node in graph.graph.nodes:
        if node.op != "call_module":
            continue
        target = str(node.target)
        uses[target] += 1
        layer, own = graph.get_submodule(target), quantization_of(target)
        is_replaced = isinstance(layer, own.layers) and isinstance(layer, own.on_grid)
        if uses[target] > 1 and is_replaced:
            node.target = f"{target}{AGAIN}{uses[target] - 1}"
            graph.add_submodule(node.target, copy.deepcopy(layer))


def further_uses(network: nn.Module, layer: str) -> Iterator[str]:
    """Names of the modules that `uses_apart_` has given a layer besides itself."""
    known = dict(network.named_modules())
    for number in itertools.count(1):
        name = f"{layer}{AGAIN}{number}"
        if name not in known:
            return
        yield name


def place(graph: fx.GraphModule, quantization_of: QuantizationOf) -> Placement:
    """Decide for every node of a traced, folded or tuned network.

    Args:
        graph: From `trace`; tuned layers are placed as folded ones are.
        quantization_of: What the slot of a module is quantized by.
    """
    modules = dict(graph.named_modules())
    on_grid: set[fx.Node] = set()
    layers: list[Layer] = []
    made: list[Point] = []
    wanted: dict[fx.Node, tuple[AbstractQuantization, list[str]]] = {}
    folded: set[fx.Node] = set()
    replaced: set[str] = set()

    def kind(node: fx.Node) -> nn.Module | None:
        return modules[str(node.target)] if node.op == "call_module" else None

    for node in graph.graph.nodes:
        module = kind(node)
        if node in folded or _keeps_grid(node, module):
            if node in folded or node.all_input_nodes[0] in on_grid:
                on_grid.add(node)
            continue
        if module is None:
            continue
        own = quantization_of(str(node.target))
        is_on_grid = isinstance(module, own.on_grid)
        activation: fx.Node | None = None
        if is_on_grid:
            for value in node.all_input_nodes:
                if value not in on_grid:
                    wanted.setdefault(value, (own, []))[1].append(node.name)
            activation = _only_reader(node, kind) if isinstance(module, FOLDED_INTO) else None
            if activation:
                folded.add(activation)
                made.append(Point(activation.name, own, for_all=True, source=node.name))
            else:
                made.append(Point(node.name, own, for_all=True))
            on_grid.add(node)
        if isinstance(module, own.layers) and str(node.target) not in replaced:
            replaced.add(str(node.target))  # off the grid every use of a layer is the same
            name = activation.name if activation else None
            layers.append(Layer(node.name, own, is_on_grid, activation=name))
    asked = [
        Point(node.name, own, for_all=False, readers=tuple(readers))
        for node, (own, readers) in wanted.items()
    ]
    return Placement(tuple(layers), (*made, *asked))


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
