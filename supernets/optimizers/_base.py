"""The contract of an optimizer plug-in.

A plug-in divides a network's parameters among optimizers of torch (or of its own, with torch's
interface). The peak rate and its schedule belong to training: every parameter group says by
`SCALE` which multiple of the rate it takes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from search_spaces import Registry

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

SCALE = "rate_scale"
"""Entry of a parameter group: its rate, as a multiple of the training's."""


class AbstractOptimizer(ABC):
    """How gradients become steps; its state is tensors per parameter, which checkpoints hold.

    Attributes:
        learning_rate: Peak rate for batches of 32 images, unless a plan says another.
    """

    learning_rate: ClassVar[float]

    @abstractmethod
    def build(self, network: "nn.Module", *, weight_decay: float) -> "Sequence[Optimizer]":
        """Optimizers that together step every parameter once.

        Args:
            network: Whose parameters.
            weight_decay: Decoupled, per step and unit of rate; of matrices and kernels only.
        """


OPTIMIZERS = Registry("supernets.optimizers", "optimizer", AbstractOptimizer)


def matrices(network: "nn.Module") -> "list[nn.Parameter]":
    """Weights that map one set of features to another: of linear layers and full convolutions."""
    from torch import nn

    return [
        module.get_parameter("weight")
        for module in network.modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    ]


def group(
    parameters: "Iterable[nn.Parameter]", *, weight_decay: float, scale: float = 1.0
) -> dict[str, Any]:
    """A parameter group of torch; the rate is set before every step."""
    return {"params": list(parameters), "weight_decay": weight_decay, SCALE: scale}


def decayed_and_others(
    parameters: "Iterable[nn.Parameter]", *, weight_decay: float, scale: float = 1.0
) -> list[dict[str, Any]]:
    """Two groups: kernels and matrices, and biases, norms and other vectors without decay."""
    known = list(parameters)
    return [
        group([p for p in known if p.ndim > 1], weight_decay=weight_decay, scale=scale),
        group([p for p in known if p.ndim <= 1], weight_decay=0.0, scale=scale),
    ]
