"""From what is trained to what is deployed: merged modules, then folded batch norms.

Modules that are deployed as another one (`supernets/_merged.py`) give way to it, and batch norm
goes into the convolution before it; norms that are none stay.
"""

import copy
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from supernets._merged import AbstractMerged
from supernets._modules import ConvNorm
from supernets.norms._statistics import is_batch_norm
from supernets.traced.fragment import PlainFragment, foldable


def conv_norm_pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions with those of the batch norms that alone read them."""
    return list(_pairs(network))


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """A copy of merged modules, whose batch norms are biases of their convolutions; same outputs.

    Args:
        network: In evaluation mode, with final running statistics.
    """
    assert not network.training, "fold a network in evaluation mode"
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, AbstractMerged):
            network.set_submodule(name, module.merged().eval())
    for conv_name, norm_name in conv_norm_pairs(network):
        conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        network.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        network.set_submodule(norm_name, nn.Identity())
    return network


def _pairs(network: nn.Module) -> Iterator[tuple[str, str]]:
    for name, module in network.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, ConvNorm) and is_batch_norm(module.norm):
            yield f"{prefix}conv", f"{prefix}norm"
        elif isinstance(module, PlainFragment):
            for conv, norm in foldable(module.fragment):
                yield f"{prefix}{module.last_layer(conv)}", f"{prefix}{norm.name}"
