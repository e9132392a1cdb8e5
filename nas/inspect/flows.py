"""What computes what inside of a block: its parts, and which feeds which.

A forward pass is run on symbols (`torch.fx`). A part is a module of the block, which is not looked
into, or a function of tensors between modules. What only moves numbers about, such as reshaping, is
no part: what reads it reads what it was made of.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from torch import fx, nn

from supernets._modules import ConvNorm

INPUT, OUTPUT = "input", "output"

MOVES = frozenset(
    {
        *("reshape", "view", "permute", "transpose", "flatten", "unflatten", "contiguous", "float"),
        *("unsqueeze", "squeeze", "to", "type_as", "chunk", "split", "unbind", "getitem", "expand"),
        *("movedim", "swapaxes", "clone", "detach", "narrow", "split_with_sizes", "tensor_split"),
        *("mT", "T", "expand_as", "repeat_interleave", "repeat", "select", "view_as", "getattr"),
        *("pad", "_pad", "constant_pad_nd", "index_select", "gather", "take_along_dim", "dim"),
    }
)
"""Functions and methods that compute nothing."""

SIZES = frozenset({"shape", "size", "device", "dtype", "ndim", "is_contiguous", "numel"})
"""What is asked about a tensor, and no tensor."""

WORDS: Mapping[str, str] = {
    "matmul": "product",
    "bmm": "product",
    "einsum": "product",
    "add": "+",
    "iadd": "+",
    "sub": "-",
    "mul": "x",
    "imul": "x",
    "truediv": "/",
    "div": "/",
    "cat": "side by side",
    "stack": "side by side",
    "roll": "moved",
    "mean": "mean",
    "amax": "maximum",
    "unfold": "neighbours",
    "interpolate": "resized",
}


@final
@dataclass(frozen=True)
class Part:
    """A box of the picture.

    Attributes:
        title: Its name in the block, or what the function is.
        text: What it is; "" if the title says all.
        reads: Numbers of the parts before it that feed it.
    """

    title: str
    text: str
    reads: tuple[int, ...] = ()


def flow_of(block: nn.Module) -> tuple[Part, ...]:
    """The parts of a block, from its input to its output; each after those that feed it.

    Args:
        block: A plain module of one input.

    Raises:
        ValueError: If its forward pass asks for numbers, which symbols do not have.
    """
    try:
        graph = _Outside().trace(block)
    except Exception as error:  # of fx, and whatever a forward pass raises of a symbol
        raise ValueError(f"{type(block).__name__} has no picture: {error!s:.200}") from error
    return tuple(_parts(graph, block))


class _Outside(fx.Tracer):
    """Calls of modules are what they are; the block's own forward pass is followed."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _parts(graph: fx.Graph, block: nn.Module) -> Iterator[Part]:
    """Parts in the graph's order, without those that feed nothing."""
    carried: dict[fx.Node, tuple[int, ...]] = {}
    found: list[Part] = []
    for node in graph.nodes:
        given = [carried[one] for one in node.all_input_nodes if one in carried]
        reads = tuple(dict.fromkeys(number for numbers in given for number in numbers))
        if node.op == "placeholder":
            found.append(Part(INPUT, ""))
        elif not reads or _is_size(node):
            continue
        elif _is_nothing(node, block) or _is_moved(node, carried):
            carried[node] = reads
            continue
        elif node.op == "output":
            found.append(Part(OUTPUT, "", reads))
        else:
            found.append(Part(*_named(node, block), reads))
        carried[node] = (len(found) - 1,)
    yield from _of_use(found)


def _of_use(parts: list[Part]) -> list[Part]:
    """Those from which the output is reached, numbered anew."""
    used = {len(parts) - 1}
    for number in reversed(range(len(parts))):
        if number in used:
            used |= set(parts[number].reads)
    places = {old: new for new, old in enumerate(sorted(used))}
    return [
        Part(parts[old].title, parts[old].text, tuple(places[one] for one in parts[old].reads))
        for old in sorted(used)
    ]


def _is_size(node: fx.Node) -> bool:
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in SIZES
    return node.op == "call_method" and node.target in SIZES


def _is_nothing(node: fx.Node, block: nn.Module) -> bool:
    is_module = node.op == "call_module"
    return is_module and isinstance(block.get_submodule(str(node.target)), nn.Identity)


def _is_moved(node: fx.Node, carried: Mapping[fx.Node, tuple[int, ...]]) -> bool:
    """Whether a call only moves numbers about, or adds one to them or multiplies them by one."""
    if node.op not in ("call_function", "call_method"):
        return False
    name = _function_name(node)
    read = [one for one in node.args if isinstance(one, fx.Node)]
    is_by_number = len(read) == 1 and read[0] in carried
    return name in MOVES or (is_by_number and WORDS.get(name) in {"+", "-", "x", "/"})


def _function_name(node: fx.Node) -> str:
    if node.op == "call_method":
        return str(node.target).strip("_")
    target: Any = node.target
    return str(getattr(target, "__name__", target)).strip("_")


def _named(node: fx.Node, block: nn.Module) -> tuple[str, str]:
    """Title and text of a part."""
    if node.op == "call_module":
        title, text = str(node.target), described(block.get_submodule(str(node.target)))
        return title, "" if text == title else text
    name = _function_name(node)
    return WORDS.get(name, name.replace("_", " ")), ""


def described(module: nn.Module) -> str:
    """What a module is, in a few words."""
    for kind, said in DESCRIBED.items():
        if isinstance(module, kind):
            return said(module)
    if isinstance(module, nn.Sequential):
        return ", ".join(described(one) for one in module)
    if isinstance(module, ConvNorm):
        has_act = not isinstance(module.act, nn.Identity)
        return f"{_convolution(module.conv)}, norm{', activation' if has_act else ''}"
    return _spaced(type(module).__name__.removeprefix("Plain"))


def _convolution(conv: nn.Conv2d) -> str:
    height, width = conv.kernel_size
    is_depthwise = conv.groups == conv.in_channels > 1
    groups = f" of {conv.groups} groups" if conv.groups > 1 else ""
    kind = " depthwise" if is_depthwise else groups
    dilation = f", every {conv.dilation[0]}th" if conv.dilation[0] > 1 else ""
    return f"{height}x{width}{kind} convolution{dilation}, {_sizes(conv)}"


def _sizes(layer: Any) -> str:
    given, made = (
        (layer.in_features, layer.out_features)
        if isinstance(layer, nn.Linear)
        else (layer.in_channels, layer.out_channels)
    )
    return f"{given}" if given == made else f"{given} to {made}"


DESCRIBED: Mapping[type[nn.Module], Callable[[Any], str]] = {
    nn.Conv2d: _convolution,
    nn.Linear: lambda layer: f"linear, {_sizes(layer)}",
    nn.LayerNorm: lambda layer: "layer norm",
    nn.BatchNorm2d: lambda layer: "batch norm",
}
"""Layers of torch; all others are called what their class is."""


def _spaced(name: str) -> str:
    """ "Layer Scale" of "LayerScale"."""
    letters = [f" {letter}" if letter.isupper() else letter for letter in name.lstrip("_")]
    return "".join(letters).strip().lower() if any(one.islower() for one in name) else name
