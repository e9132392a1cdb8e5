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
            for conv, norm in foldable(module.fragment):
                fused = fuse_conv_bn_eval(
                    module.get_submodule(conv.name), module.get_submodule(norm.name)
                )
                module.set_submodule(conv.name, fused)
                module.set_submodule(norm.name, nn.Identity())
    return network
