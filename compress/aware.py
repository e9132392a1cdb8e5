"""Quantization-aware training: the network that is exported, with weights and grids to be learnt.

The network is quantized as it will be, by the same placement, and every module on a grid gives way
to one that rounds alike and passes gradients on (`compress/quantize/_learnt.py`). Batch norm is
tuned (`supernets/tune.py`), because what is exported has its statistics folded. Layers of formats
that learn nothing are trained as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.apply import quantizations_of
from compress.calibration._base import CALIBRATIONS
from compress.placement import further_uses
from compress.quantize._apply import quantized
from compress.quantize._learnt import AbstractLearnable, AbstractLearnt, LearntLayer
from search_spaces import DEFAULT_CALIBRATION, Slot
from supernets.calibrate import recalibrated
from supernets.network import PlainNetwork
from supernets.tune import TunedConv2d, tuned


def aware(
    network: PlainNetwork,
    arch: Sequence[Slot],
    calibration: Sequence[Tensor],
    *,
    calibrated_by: str = DEFAULT_CALIBRATION,
    needs_reduced_range: bool = False,
) -> nn.Module:
    """What is trained, in fp32, in place of a network that will be quantized.

    Training it trains the network's weights; its grids are read by `grids_of`.

    Args:
        network: With final running statistics.
        arch: Its slots, which carry precisions.
        calibration: Normalised images, (B, C, H, W) each: grids begin where these put them.
        calibrated_by: Name of the calibration that puts them there.
        needs_reduced_range: Whether sums of two 8-bit products saturate (processors without VNNI).
    """
    own = tuned(network).eval()
    with torch.no_grad():
        found = quantized(
            own,
            quantizations_of(arch),
            calibration,
            calibration=CALIBRATIONS.get(calibrated_by)(),
            needs_reduced_range=needs_reduced_range,
        )
    before = dict(own.named_modules())
    for name, original in before.items():
        if isinstance(original, nn.Conv2d | nn.Linear):
            for use in (name, *further_uses(found, name)):
                found.set_submodule(use, _learnt(found.get_submodule(use), original))
                _share_weights_grid_(found.get_submodule(name), found.get_submodule(use))
    for name, module in list(found.named_children()):
        if isinstance(module, AbstractLearnable):
            found.set_submodule(name, module.learnt(None))
    kept = set(found.modules())
    for layer in [module for module in kept if isinstance(module, LearntLayer)]:
        # A norm is no step of its own where the activation behind it has gone into the grid.
        norm = layer.layer.norm if isinstance(layer.layer, TunedConv2d) else None
        if norm is not None and norm not in kept:
            layer.add_module("norm", norm)
    return found


def grids_of(network: nn.Module) -> Mapping[str, Tensor]:
    """What training has decided, as `compress` takes it; nothing of another network."""
    return {
        f"{name}.{entry}": tensor
        for name, module in network.named_modules()
        if isinstance(module, AbstractLearnt)
        for entry, tensor in module.grid().items()
    }


def _learnt(module: nn.Module, original: nn.Module) -> nn.Module:
    """The layer itself where its format learns nothing."""
    return module.learnt(original) if isinstance(module, AbstractLearnable) else original


def _share_weights_grid_(first: nn.Module, use: nn.Module) -> None:
    """A layer that is used several times has one weight, and so one grid of it."""
    if isinstance(first, LearntLayer) and isinstance(use, LearntLayer):
        use.log_scale_C = first.log_scale_C


@dataclass(frozen=True, kw_only=True)
class Aware:
    """`aware` as a value that goes to other processes.

    Attributes:
        arch: As in `aware`.
        calibration: As in `aware`.
        calibrated_by: As in `aware`.
        needs_reduced_range: As in `aware`.
        recalibrates: Whether the network's running statistics are measured first.
    """

    arch: Sequence[Slot]
    calibration: Sequence[Tensor]
    calibrated_by: str
    needs_reduced_range: bool
    recalibrates: bool

    def __call__(self, network: nn.Module) -> nn.Module:
        """What is trained in place of the network."""
        assert isinstance(network, PlainNetwork)
        if self.recalibrates:
            recalibrated(network, self.calibration)
        return aware(
            network,
            self.arch,
            self.calibration,
            calibrated_by=self.calibrated_by,
            needs_reduced_range=self.needs_reduced_range,
        )
