"""Training with frozen batch-norm statistics: a convolution and the norm behind it are one.

For a network that has learnt already. A tuned network computes with the parameters of the plain
one as evaluation mode does, so what is trained is what is folded and shipped; no statistics are
measured anew afterwards. Every step folds W * gamma / std and beta - mean * gamma / std anew, so
gradients reach W, gamma and beta, and the map between convolution and norm, which evaluation mode
keeps for the backward pass, never exists.

Source: You et al., Efficient ConvBN Blocks for Transfer Learning and Beyond (2024), Tune mode.
"""

import copy
from itertools import chain
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from supernets.fold import conv_norm_pairs


@final
class TunedConv2d(nn.Conv2d):
    """A convolution that computes the batch norm behind it, too.

    Args:
        conv: Its parameters are shared.
        norm: Frozen; it stays where it is in the network, as a `FoldedNorm`, and is looked up here.
    """

    def __init__(self, conv: nn.Conv2d, norm: "FoldedNorm") -> None:
        nn.Module.__init__(self)
        # NOTE: not a second initialisation, which would draw random numbers.
        self.__dict__.update(conv.__dict__)
        self._norm = (norm,)  # in a tuple, so that its parameters have one name

    @property
    def norm(self) -> "FoldedNorm":
        """What is folded; no module of this one."""
        return self._norm[0]

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution, with gradients to all that they are made of."""
        scale_C, shift_C = self.norm.scale_and_shift()
        weight = self.weight * scale_C.reshape(-1, 1, 1, 1)
        return weight, shift_C if self.bias is None else torch.addcmul(shift_C, self.bias, scale_C)

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

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What evaluation mode multiplies every channel by and adds to it: (C,) each."""
        mean_C, variance_C = self.get_buffer("running_mean"), self.get_buffer("running_var")
        weight_C, bias_C = self._parameters["weight"], self._parameters["bias"]
        scale_C = torch.rsqrt(variance_C + self.eps)
        if weight_C is not None:
            scale_C = scale_C * weight_C
        shift_C = -mean_C * scale_C
        return scale_C, shift_C if bias_C is None else shift_C + bias_C


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
        if isinstance(module, nn.BatchNorm2d):
            network.set_submodule(name, FrozenNorm(module))
    return network
