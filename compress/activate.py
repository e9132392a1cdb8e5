"""Units that are 0 nearly always are made linear, before a pruned network is trained further.

The dead rate of a unit is the share of the images and positions at which its ReLU gives 0. What
is left of a network that was pruned has to do more, and a unit that is dead passes neither answers
nor gradients.

Source: Liu et al., AP: Selective Activation for De-sparsifying Pruned Neural Networks (2022):
behind any pruning, units of the highest dead rates lose their ReLU, and training follows. How many,
and that they are ranked over the whole network, is ours. Departure: the ReLU stays where it is.
The bias in front of it is raised until all that was seen is above 0, where ReLU is the identity,
and the batch norm behind the next convolution takes away the constant that this adds, but for
positions at the border, where the convolution sees zeros. So neither the network nor its file nor
its kernels change, and nothing is left to be folded. A ReLU6 is linear over a range of 6; values of
a wider range have its middle there. Only units between two batch norms can be had, with a
convolution and nothing else behind them: those inside of blocks.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from compress.placement import FOLDABLE, trace
from supernets.calibrate import recalibrated
from supernets.norms._statistics import is_batch_norm


@dataclass(frozen=True)
class Units:
    """Channels between a batch norm and an activation, and what was seen of them.

    Attributes:
        norm: Name of the batch norm.
        widest: Above 0, the range in which the activation is linear.
        dead_rate_C: Share of the values that are 0 behind the activation.
        low_C: Smallest value in front of it.
        high_C: Largest value.
    """

    norm: str
    widest: float
    dead_rate_C: Tensor
    low_C: Tensor
    high_C: Tensor

    @property
    def raised_by_C(self) -> Tensor:
        """What puts each into the linear range; nothing that is there already."""
        middle_C = 0.5 * (self.low_C + self.high_C)
        fits_C = self.high_C - self.low_C <= self.widest
        shift_C = torch.where(fits_C, -self.low_C, 0.5 * self.widest - middle_C)
        return shift_C.clamp(min=0.0)


@torch.no_grad()
def activate_(network: nn.Module, batches: Sequence[Tensor], share: float) -> int:
    """Make the units of the highest dead rates linear, in place.

    Args:
        network: Not folded.
        batches: Normalised images, (B, C, H, W) each.
        share: Of all units that can be had.

    Returns:
        How many are linear now: those that were never dead are left out.
    """
    units = seen_units(network, batches)
    if not units:
        return 0
    rates_N = torch.cat([of_layer.dead_rate_C for of_layer in units])
    number = min(round(share * len(rates_N)), int((rates_N > 0).sum()))
    is_chosen_N = torch.zeros(len(rates_N), dtype=torch.bool, device=rates_N.device)
    is_chosen_N[rates_N.argsort(descending=True, stable=True)[:number]] = True
    parts = is_chosen_N.split([len(of_layer.dead_rate_C) for of_layer in units])
    for of_layer, is_chosen_C in zip(units, parts, strict=True):
        norm = network.get_submodule(of_layer.norm)
        assert isinstance(norm, nn.BatchNorm2d)
        norm.bias.add_(of_layer.raised_by_C * is_chosen_C)
    return number


@torch.no_grad()
def seen_units(network: nn.Module, batches: Sequence[Tensor]) -> list[Units]:
    """All units that can be had, as these images show them; the network stays as it is."""
    network = recalibrated(copy.deepcopy(network), batches)
    layers = list(_layers(trace(network)))
    zeros: dict[str, list[Tensor]] = {norm: [] for norm, _ in layers}
    lows: dict[str, list[Tensor]] = {norm: [] for norm, _ in layers}
    highs: dict[str, list[Tensor]] = {norm: [] for norm, _ in layers}

    def look(name: str) -> None:
        def seen(_: nn.Module, __: tuple[Tensor], z_BCHW: Tensor) -> None:
            zeros[name].append((z_BCHW <= 0).float().mean((0, 2, 3)))
            lows[name].append(z_BCHW.amin((0, 2, 3)))
            highs[name].append(z_BCHW.amax((0, 2, 3)))

        network.get_submodule(name).register_forward_hook(seen)

    for norm, _ in layers:
        look(norm)
    for images_BCHW in batches:
        network(images_BCHW)
    return [
        Units(
            norm,
            widest,
            torch.stack(zeros[norm]).mean(0),
            torch.stack(lows[norm]).amin(0),
            torch.stack(highs[norm]).amax(0),
        )
        for norm, widest in layers
    ]


def dead_rate(network: nn.Module, batches: Sequence[Tensor]) -> float:
    """Mean over all units that can be had; 0 if there are none."""
    units = seen_units(network, batches)
    rates = [of_layer.dead_rate_C for of_layer in units]
    return float(torch.cat(rates).mean()) if rates else 0.0


def _layers(graph: fx.GraphModule) -> Iterator[tuple[str, float]]:
    """Batch norms in front of activations that can be had, and the ranges of these."""
    modules = dict(graph.named_modules())

    def module_of(node: fx.Node) -> nn.Module | None:
        return modules[str(node.target)] if node.op == "call_module" else None

    def readers(node: fx.Node) -> Iterable[fx.Node]:
        """Through identities."""
        for user in node.users:
            if isinstance(module_of(user), nn.Identity):
                yield from readers(user)
            else:
                yield user

    def is_followed_by_norms(node: fx.Node) -> bool:
        norms = [_is_norm(module_of(reader)) for reader in readers(node)]
        return bool(norms) and all(norms)

    for node in graph.graph.nodes:
        read = list(readers(node)) if _is_norm(module_of(node)) else []
        kind = module_of(read[0]) if len(read) == 1 else None
        if not isinstance(kind, FOLDABLE):
            continue
        behind = list(readers(read[0]))
        normed = [isinstance(module_of(x), nn.Conv2d) and is_followed_by_norms(x) for x in behind]
        if normed and all(normed):
            yield str(node.target), 6.0 if isinstance(kind, nn.ReLU6) else float("inf")


def _is_norm(module: nn.Module | None) -> bool:
    return module is not None and is_batch_norm(module) and module.affine is True
