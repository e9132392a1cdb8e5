"""What the time of a file goes into, by class of operator and by node.

Measured apart from the latency, because a runtime that times its nodes is slower meanwhile.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.targets import ChosenTarget, NodeTime, TimesNodes
from search_spaces import CandidateError

CLASSES: Mapping[str, tuple[str, ...]] = {
    "convolution": ("Conv", "ConvInteger", "FusedConv", "QLinearConv", "ConvTranspose"),
    "matrix product": (
        *("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulNBits", "QGemm", "QLinearMatMul"),
        *("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "Einsum"),
    ),
    "attention": (
        *("Attention", "MultiHeadAttention", "QAttention", "GroupQueryAttention"),
        *("Softmax", "QLinearSoftmax"),
    ),
    "normalisation": (
        *("BatchNormalization", "LayerNormalization", "SkipLayerNormalization"),
        *("InstanceNormalization", "GroupNormalization", "SimplifiedLayerNormalization"),
        *("LpNormalization", "LRN", "RMSNormalization"),
    ),
    "activation": (
        *("Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"),
        *("Erf", "Gelu", "FastGelu", "QuickGelu", "BiasGelu", "Softplus", "Mish"),
        *("Swish", "Elu", "Selu", "QLinearSigmoid", "QLinearLeakyRelu"),
    ),
    "arithmetic": (
        *("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Neg", "Min", "Max", "Sum", "Where"),
        *("QLinearAdd", "QLinearMul", "Reciprocal", "Abs", "Log"),
    ),
    "pooling": (
        *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"),
        *("ReduceSum", "ReduceMax", "QLinearAveragePool", "QLinearGlobalAveragePool"),
        "QLinearReduceMean",
    ),
    "quantization": ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    "moving data": (
        *("Transpose", "Reshape", "Concat", "Slice", "Gather", "Split", "ReorderInput"),
        *("ReorderOutput", "Unsqueeze", "Squeeze", "Flatten", "Pad", "Cast", "Expand", "Shape"),
        *("Resize", "Tile", "Identity", "DepthToSpace", "SpaceToDepth", "QLinearConcat"),
        *("GatherND", "ScatterND", "Upsample"),
    ),
}
PRODUCT, ATTENTION, OTHER = "matrix product", "attention", "other"
SLOWEST = 5


@dataclass(frozen=True, kw_only=True)
class ClassTime:
    """What operators of one class take together.

    Attributes:
        name: Of the class.
        nodes: How many there are.
        integer_nodes: How many of these compute on integers.
        ms: Milliseconds per inference.
        share: Of the time of all nodes.
    """

    name: str
    nodes: int
    integer_nodes: int
    ms: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """What the time of a file goes into.

    Attributes:
        integer: Kernels that compute on integers.
        nodes: All nodes that the runtime timed, the slowest first; () if it times none.
    """

    integer: int
    nodes: tuple[NodeTime, ...]

    @property
    def classes(self) -> list[ClassTime]:
        """By class of operator, the one that takes most first."""
        total_ms = sum(node.ms for node in self.nodes) or 1.0
        by_class: dict[str, list[NodeTime]] = defaultdict(list)
        for node in self.nodes:
            by_class[class_of(node.op, has_weights=node.has_weights)].append(node)
        found = [
            ClassTime(
                name=name,
                nodes=len(nodes),
                integer_nodes=sum(node.is_integer for node in nodes),
                ms=sum(node.ms for node in nodes),
                share=sum(node.ms for node in nodes) / total_ms,
            )
            for name, nodes in by_class.items()
        ]
        return sorted(found, key=lambda each: -each.ms)


def kernels_of(file: Path, chosen: ChosenTarget, *, budget_s: float) -> Kernels | CandidateError:
    """What a file's time goes into on a target, or why that is not known.

    Args:
        file: Of a model that the target can run.
        chosen: The target.
        budget_s: Seconds for the calls.
    """
    target, calls = chosen.target, {"threads": chosen.threads, "batch": chosen.batch}
    nodes: Sequence[NodeTime] = ()
    try:
        if isinstance(target, TimesNodes):
            nodes = target.node_times(file, **calls, budget_s=budget_s)
        integer = target.integer_kernels(file)
    except CandidateError as error:
        return error
    return Kernels(integer=integer, nodes=tuple(sorted(nodes, key=lambda node: -node.ms)))


def class_of(op: str, *, has_weights: bool = True) -> str:
    """The class of an operator, by the runtime's name; "other" for one that is in none.

    Args:
        op: The name.
        has_weights: Whether it reads weights: a matrix product without is one of attention.
    """
    found = _CLASS_OF.get(op, OTHER)
    return ATTENTION if found == PRODUCT and not has_weights else found


_CLASS_OF = {op: name for name, ops in CLASSES.items() for op in ops}
