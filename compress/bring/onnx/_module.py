"""A module of torch that does what the graph of an ONNX file says."""

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from torch import Tensor, nn

from compress.bring.onnx._graph import OnnxGraph, OnnxNode
from compress.bring.onnx._names import path_of
from compress.bring.onnx.operators import OPERATORS
from compress.bring.onnx.operators._base import plain

NORM = "BatchNormalization"


class Step(nn.Module):
    """One node. A module, so that tracing tells where in the network an operation is."""

    def __init__(self, node: OnnxNode) -> None:
        super().__init__()
        self.node = node

    def forward(self, *values: Any) -> Any:
        """What the operator makes of its values."""
        return carried_out(self.node, values)


class OnnxNetwork(nn.Module):
    """Nodes in the order of the file.

    Steps and parameters lie in modules that have the file's names, as the network had when it was
    written: "layer1.0.conv1".
    """

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        self.nodes, self.images, self.scores = graph.nodes, graph.images, graph.scores
        self.numbers = {k: v for k, v in graph.known.items() if isinstance(v, np.ndarray)}
        self.learnt: dict[str, str] = {}
        self.steps: list[str] = []
        for node in graph.nodes:
            path = path_of(node) or re.sub(r"\W+", "_", node.op.lower())
            self.steps.append(_place(self, path, Step(node), node.op.lower()))
        statistics = {name for node in graph.nodes for name in node.inputs[3:] if node.op == NORM}
        for name, tensor in graph.known.items():
            if isinstance(tensor, Tensor):
                held = nn.Buffer(tensor) if name in statistics else nn.Parameter(tensor)
                path = ".".join(re.sub(r"\W+", "_", part) for part in name.split(".") if part)
                self.learnt[name] = _place(self, path, held, "value")

    def forward(self, images: Tensor) -> Tensor:
        """Scores of images, (B, C, H, W)."""
        found: dict[str, Any] = {"": None, **self.numbers, self.images: images}
        found |= {name: attrgetter(path)(self) for name, path in self.learnt.items()}
        for node, path in zip(self.nodes, self.steps, strict=True):
            outputs = self.get_submodule(path)(*(found[name] for name in node.inputs))
            found |= dict(zip(node.outputs, outputs, strict=False))
        scores: Tensor = found[self.scores]
        return scores


def carried_out(node: OnnxNode, values: Sequence[Any]) -> list[Any]:
    """What a node gives for known values."""
    made = OPERATORS[node.op](node, *values)
    return [plain(each) for each in (made if isinstance(made, list) else [made])]


def _place(root: nn.Module, path: str, thing: nn.Module | Tensor, spare: str) -> str:
    """Puts something at a path of modules, which are made; gives back where it is.

    Where the path is taken it goes below it, by the spare name.
    """
    *folders, name = path.split(".")
    module, walked = root, []
    for folder in folders:
        if not isinstance(getattr(module, folder, nn.Module()), nn.Module):
            folder += "_"  # something that every module has
        if not hasattr(module, folder):
            module.add_module(folder, nn.Module())
        module = getattr(module, folder)
        walked.append(folder)
    if isinstance(getattr(module, name, None), nn.Module):
        module = getattr(module, name)
        walked.append(name)
        name = spare
    stem, number = name, 2
    while hasattr(module, name):
        name, number = f"{stem}_{number}", number + 1
    setattr(module, name, thing)
    return ".".join([*walked, name])
