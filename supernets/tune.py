"""Training with frozen batch-norm statistics: a convolution and the norm behind it are one.

For a network that has learnt already. A tuned network computes with the parameters of the plain
one as evaluation mode does, so what is trained is what is folded and shipped; no statistics are
measured anew afterwards. Every step folds W * gamma / std and beta - mean * gamma / std anew, so
gradients reach W, gamma and beta, and the map between convolution and norm, which evaluation mode
keeps for the backward pass, never exists. What is deployed as one convolution is trained as one,
too (`supernets/_merged.py`).

Source: You et al., Efficient ConvBN Blocks for Transfer Learning and Beyond (2024), Tune mode.
"""

import copy
from itertools import chain
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from supernets._merged import AbstractMergedConv, scale_and_shift
from supernets.fold import conv_norm_pairs
from supernets.norms._statistics import AbstractBatchStatistics


@final
class TunedConv2d(nn.Conv2d):
    """A convolution that computes the batch norm behind it, too, and makes its kernel if it must.

    Args:
        conv: Its parameters are shared.
        norm: Frozen; it stays where it is in the network, as a `FoldedNorm`, and is looked up here.
            None if none is behind it.
    """

    def __init__(self, conv: nn.Conv2d | AbstractMergedConv, norm: "FoldedNorm | None") -> None:
        nn.Module.__init__(self)
        # NOTE: not a second initialisation, which would draw random numbers.
        if isinstance(conv, AbstractMergedConv):
            assert isinstance(conv, nn.Module)
            self.__dict__.update(conv.merged().__dict__)
            self._parameters = {"bias": None, **conv._parameters}
            self._buffers = conv._buffers  # the same, so that both are where a device moves one
            self._modules = dict(conv._modules)
        else:
            self.__dict__.update(conv.__dict__)
        self._others = conv, norm  # in a tuple, so that their parameters have one name

    @property
    def norm(self) -> "FoldedNorm | None":
        """What is folded; no module of this one."""
        return self._others[1]

    @property
    def is_merged(self) -> bool:
        """Whether the kernel is made of several."""
        return isinstance(self._others[0], AbstractMergedConv)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution, with gradients to all that they are made of."""
        conv, norm = self._others
        weight, bias = (
            conv.kernel() if isinstance(conv, AbstractMergedConv) else (self.weight, self.bias)
        )
        if norm is None:
            return weight, weight.new_zeros(len(weight)) if bias is None else bias
        scale_C, shift_C = scale_and_shift(norm)
        weight = weight * scale_C.reshape(-1, 1, 1, 1)
        return weight, shift_C if bias is None else torch.addcmul(shift_C, bias, scale_C)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """What convolution and norm give in evaluation mode."""
        return self._conv_forward(x_BCHW, *self.folded())


@final
class FoldedNorm(nn.Identity):
    """A batch norm that its convolution computes; it holds the parameters by their names."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        self._parameters.update(norm._parameters)
        self._buffers.update(norm._buffers)


@final
class FrozenNorm(nn.BatchNorm2d):
    """A batch norm behind no convolution: its statistics stay in training mode, too."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(norm.__dict__)

    def forward(self, x: Tensor) -> Tensor:
        """What evaluation mode gives."""
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def tuned(network: nn.Module) -> nn.Module:
    """A network with the parameters and buffers of this one, and their names, to be tuned.

    Training it trains the network.

    Args:
        network: With its final running statistics.
    """
    tensors = chain(network.parameters(), network.buffers())
    network = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    for conv_name, norm_name in conv_norm_pairs(network):
        conv, norm = network.get_submodule(conv_name), network.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        held = FoldedNorm(norm)
        network.set_submodule(conv_name, TunedConv2d(conv, held))
        network.set_submodule(norm_name, held)
    for name, module in list(network.named_modules()):
        if isinstance(module, AbstractMergedConv):
            network.set_submodule(name, TunedConv2d(module, None))
        elif isinstance(module, AbstractBatchStatistics):
            module.is_frozen = True
        elif isinstance(module, nn.BatchNorm2d):
            network.set_submodule(name, FrozenNorm(module))
    return network
