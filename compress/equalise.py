"""Cross-layer equalisation: channels between two layers brought to like ranges, in full precision.

A channel that a layer makes times 1/s, and whose weights in the next layer are s times as large, is the
same network, because ReLU lets positive factors through. Source: Nagel et al., Data-Free Quantization
Through Weight Equalization and Bias Correction (2019), section 4.1. Departures: ReLU6, which lets none
through, stays, and the layers around it are left alone; biases are not absorbed.
"""

import torch
from torch import Tensor, fx, nn

SWEEPS = 10
"""Over all pairs; a layer in the middle of three belongs to two."""

Layer = nn.Conv2d | nn.Linear


@torch.no_grad()
def equalise_(graph: fx.GraphModule) -> int:
    """Equalises all pairs of layers of a traced, folded network; its weights are changed.

    Returns:
        The number of pairs.
    """
    pairs = _pairs(graph)
    for _ in range(SWEEPS):
        for first, second in pairs:
            _equalise_pair_(first, second)
    return len(pairs)


def _pairs(graph: fx.GraphModule) -> list[tuple[Layer, Layer]]:
    """Layers of which the second alone reads the first, through ReLUs at most."""
    modules = dict(graph.named_modules())
    found: list[tuple[Layer, Layer]] = []
    for node in graph.graph.nodes:
        first = modules.get(str(node.target)) if node.op == "call_module" else None
        while first is not None and len(node.users) == 1:
            (node,) = node.users
            second = modules.get(str(node.target)) if node.op == "call_module" else None
            if isinstance(first, Layer) and isinstance(second, Layer):
                if isinstance(first, nn.Conv2d) == isinstance(second, nn.Conv2d):
                    found.append((first, second))
                break
            if not isinstance(second, nn.ReLU | nn.Identity | nn.Dropout):
                break
    return found


def _equalise_pair_(first: Layer, second: Layer) -> None:
    made_C = first.weight.abs().flatten(1).amax(1)
    read_GOC = _by_input(second).abs().amax(tuple(range(3, _by_input(second).ndim)))
    read_C = read_GOC.amax(1).flatten()
    factor_C = (made_C / read_C).sqrt()
    factor_C = torch.where((made_C > 0) & (read_C > 0), factor_C, torch.ones_like(factor_C))
    first.weight.div_(factor_C.reshape(-1, *[1] * (first.weight.ndim - 1)))
    if first.bias is not None:
        first.bias.div_(factor_C)
    weight = _by_input(second)
    groups, _, inputs = weight.shape[:3]
    weight.mul_(factor_C.reshape(groups, 1, inputs, *[1] * (weight.ndim - 3)))


def _by_input(layer: Layer) -> Tensor:
    """A view of the weight with the axes group, output, input of the group, and the kernel's."""
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return layer.weight.unflatten(0, (groups, -1))
