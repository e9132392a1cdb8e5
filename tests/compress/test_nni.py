"""NNI as an oracle, where it is installed: which channels go, and the grids of integers."""

import copy
from typing import Any

import pytest
import torch
from torch import fx, nn

from compress.quantize._ranges import observe
from compress.quantize._weights import WEIGHT_MAX, channel_scale, integers
from compress.quantize.int8 import Quantizer
from supernets.criteria import GroupWeights
from supernets.criteria.l1 import L1

nni = pytest.importorskip("nni")
pruning = pytest.importorskip("nni.compression.pruning")
quantization = pytest.importorskip("nni.compression.quantization")
utils = pytest.importorskip("nni.compression.utils")


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    convs = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 24, 3, padding=1)
    return nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.Flatten(), nn.Linear(24 * 64, 10)).eval()


@pytest.fixture
def images_BCHW() -> torch.Tensor:
    return torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_the_l1_norm_keeps_the_same_channels(network: nn.Sequential, sparsity: float) -> None:
    config = [{"op_types": ["Conv2d"], "sparse_ratio": sparsity}]
    _, masks = pruning.L1NormPruner(copy.deepcopy(network), config).compress()
    for name, read_by in (("0", network[2].weight.transpose(0, 1)), ("2", torch.ones(24, 1))):
        weight = network.get_submodule(name).weight
        score_C = L1().importance(GroupWeights(weight, read_by, None, len(weight)))
        kept = score_C.topk(round((1 - sparsity) * len(weight))).indices.sort().values
        theirs = masks[name]["weight"].flatten(1).any(1).nonzero().flatten()
        assert kept.tolist() == theirs.tolist()


def test_scales_integers_and_ranges_of_eight_bits_are_the_same(
    network: nn.Sequential, images_BCHW: torch.Tensor
) -> None:
    """Over one batch: of several, NNI takes the extremes, and we their means."""
    model = copy.deepcopy(network)
    weights = {
        "op_types": ["Conv2d", "Linear"],
        "target_names": ["weight"],
        "quant_dtype": "int8",
        "quant_scheme": "symmetric",
        "granularity": "out_channel",
    }
    outputs = {
        **weights, "target_names": ["_output_"], "quant_dtype": "uint8", "quant_scheme": "affine",
        "granularity": "default",
    }  # fmt: skip
    optimizer = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.1)
    evaluator = utils.TorchEvaluator(
        lambda *rest, **named: None,
        optimizer,
        lambda batch, model: model(batch).sum(),
        evaluating_func=lambda model: model(images_BCHW).detach().sum().item(),
    )
    quantizer = quantization.PtqQuantizer(model, [weights, outputs], evaluator)
    _, found = quantizer.compress(None, 1)
    graph = fx.symbolic_trace(network)
    names = {str(node.target): node.name for node in graph.graph.nodes if node.op == "call_module"}
    seen = observe(graph, names.values(), [images_BCHW])
    for module in ("0", "2", "4"):
        weight = network.get_submodule(module).weight.detach()
        scale = channel_scale(weight, WEIGHT_MAX)
        theirs: dict[str, Any] = found[module]["weight"]
        torch.testing.assert_close(theirs["scale"].flatten(), scale)
        expected = torch.round(weight / theirs["scale"].reshape(-1, *[1] * (weight.ndim - 1)))
        assert (integers(weight, scale, WEIGHT_MAX) != expected).sum() <= 1, "of halves"
        ours, output = Quantizer(seen[names[module]]), found[module]["_output_0"]
        torch.testing.assert_close(output["scale"].reshape(()), ours.scale)
        assert int(output["zero_point"]) == int(ours.zero_point)
