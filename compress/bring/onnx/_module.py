"""A module of torch that does what the graph of an ONNX file says."""

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compress.bring.onnx._graph import OnnxGraph, OnnxNode, has_reals
from compress.bring.onnx._names import path_of
from compress.bring.onnx.operators import OPERATORS
from compress.bring.onnx.operators._base import plain

NORM = "BatchNormalization"


class Part(nn.Module):
    """A module of the network that was written: carries out its nodes.

    So tracing tells where in the network an operation is.
    """

    def forward(self, node: OnnxNode, *values: Any) -> list[Any]:
        """What a node gives."""
        return carried_out(node, values)


class OnnxNetwork(nn.Module):
    """Nodes in the order of the file.

    Parts, what was learnt and tables of reals lie in modules that have the file's names, as the
    network had when it was written: "layer1.0.conv1".
    """

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        self.nodes, self.images, self.scores = graph.nodes, graph.images, graph.scores
        self.numbers: dict[str, np.ndarray] = {}
        self.paths = [_part(self, path_of(node)) for node in graph.nodes]
        self.held: dict[str, str] = {}
        statistics = {name for node in graph.nodes for name in node.inputs[3:] if node.op == NORM}
        for name, value in graph.known.items():
            if isinstance(value, Tensor):
                held = nn.Buffer(value) if name in statistics else nn.Parameter(value)
                self.held[name] = _hold(self, name, held)
            elif has_reals(value):
                self.held[name] = _hold(self, name, nn.Buffer(torch.tensor(value)))
            else:
                self.numbers[name] = value

    def forward(self, images: Tensor) -> Tensor:
        """Scores of images, (B, C, H, W)."""
        found: dict[str, Any] = {"": None, **self.numbers, self.images: images}
        found |= {name: attrgetter(path)(self) for name, path in self.held.items()}
        for node, path in zip(self.nodes, self.paths, strict=True):
            values = [found[name] for name in node.inputs]
            part = self.get_submodule(path)
            made = part(node, *values) if path else carried_out(node, values)
            found |= dict(zip(node.outputs, made, strict=False))
        scores: Tensor = found[self.scores]
        return scores


def carried_out(node: OnnxNode, values: Sequence[Any]) -> list[Any]:
    """What a node gives for known values."""
    made = OPERATORS[node.op](node, *values)
    return [plain(each) for each in (made if isinstance(made, list) else [made])]


def _part(root: nn.Module, path: str) -> str:
    """Makes the modules of a path that are not there; gives back where the last one is."""
    module, walked = root, []
    for name in filter(None, path.split(".")):
        if not isinstance(getattr(module, name, Part()), Part):
            name += "_"  # something that every module has
        if not hasattr(module, name):
            module.add_module(name, Part())
        module = getattr(module, name)
        walked.append(name)
    return ".".join(walked)


def _hold(root: nn.Module, name: str, tensor: Tensor) -> str:
    """Puts a tensor into the module that its name says; gives back where it is."""
    *folders, last = (re.sub(r"\W+", "_", part) for part in name.split(".") if part)
    path = _part(root, ".".join(folders))
    module = root.get_submodule(path)
    stem, number = last, 2
    while hasattr(module, last):
        last, number = f"{stem}_{number}", number + 1
    setattr(module, last, tensor)
    return f"{path}.{last}".lstrip(".")
