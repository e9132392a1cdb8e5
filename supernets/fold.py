"""Folding batch norm into the convolution before it; norms that are none stay."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from supernets._modules import ConvNorm
from supernets.traced.fragment import PlainFragment, foldable


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """A copy whose batch norms are biases of their convolutions; same outputs.

    Args:
        network: In evaluation mode, with final running statistics.
    """
    assert not network.training, "fold a network in evaluation mode"
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.set_submodule("norm", nn.Identity())
        elif isinstance(module, PlainFragment):
            for pair in foldable(module.fragment):
                conv, norm = (module.get_submodule(node.name) for node in pair)
                assert isinstance(conv, nn.Conv2d)
                assert isinstance(norm, nn.BatchNorm2d)
                module.set_submodule(pair[0].name, fuse_conv_bn_eval(conv, norm))
                module.set_submodule(pair[1].name, nn.Identity())
    return network
