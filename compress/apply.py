"""From an extracted network to the one that is scored and shipped, in one order.

extract and prune -> recalibrate batch norm -> fold -> calibrate quantizers -> quantize
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.calibration._base import CALIBRATIONS
from compress.plan import Plan, plan_compression
from compress.quantize._apply import quantized
from compress.quantize._base import QUANTIZATIONS
from search_spaces import DEFAULT_CALIBRATION, Slot, signature_cost
from supernets.calibrate import recalibrated
from supernets.fold import folded
from supernets.network import PlainNetwork, join_name, module_name


@dataclass(frozen=True)
class Compressed:
    """A network before and after quantization.

    Attributes:
        plan: What was done to each slot.
        fp32: Pruned and folded, all values in fp32.
        network: As deployed; the same object as `fp32` if no slot is quantized.
    """

    plan: Plan
    fp32: nn.Module
    network: nn.Module


@torch.no_grad()
def compress(
    network: PlainNetwork,
    arch: Sequence[Slot],
    calibration: Sequence[Tensor],
    *,
    calibrated_by: str = DEFAULT_CALIBRATION,
    needs_reduced_range: bool = False,
) -> Compressed:
    """Carry out the policy of an extracted, and with that pruned, network.

    Args:
        network: As extracted, or trained further since; it is changed.
        arch: Its slots, which carry widths, what pruning keeps, and precisions.
        calibration: Normalised images, (B, C, H, W) each, from the training split.
        calibrated_by: Name of the calibration of grids.
        needs_reduced_range: Whether sums of two 8-bit products saturate (processors without VNNI).
    """
    check_realised_size(network, arch)
    return quantize(
        folded(recalibrated(network, calibration)),
        arch,
        calibration,
        calibrated_by=calibrated_by,
        needs_reduced_range=needs_reduced_range,
    )


@torch.no_grad()
def quantize(
    network: nn.Module,
    arch: Sequence[Slot],
    calibration: Sequence[Tensor],
    *,
    calibrated_by: str = DEFAULT_CALIBRATION,
    needs_reduced_range: bool = False,
) -> Compressed:
    """The second half of `compress`, for a folded network with these slots."""
    plan = plan_compression(arch)
    if not plan.is_quantized:
        return Compressed(plan, network, network)
    of_slots = {
        name(slot.slot): QUANTIZATIONS.get(slot.precision)()
        for slot in plan.slots
        for name in (module_name, join_name)
    }
    deployed = quantized(
        network,
        lambda module: of_slots[module.partition(".")[0]],
        calibration,
        calibration=CALIBRATIONS.get(calibrated_by)(),
        needs_reduced_range=needs_reduced_range,
    )
    return Compressed(plan, network, deployed)


def check_realised_size(network: PlainNetwork, arch: Sequence[Slot]) -> None:
    """Every slot has exactly the parameters that its signature declares."""
    for slot in arch:
        module = network.get_submodule(module_name(slot.name))
        realised = sum(parameter.numel() for parameter in module.parameters())
        declared = signature_cost(slot.signature).params
        assert realised == declared, f"{slot.name}: {realised} parameters, declared {declared}"
