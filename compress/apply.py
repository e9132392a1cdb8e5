"""From an extracted network to the one that is scored and shipped, in one order.

extract and prune -> sparsify -> recalibrate batch norm -> fold -> calibrate quantizers -> quantize

Recalibration and calibration are left out where the network's own training has decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from compress.calibration._base import CALIBRATIONS
from compress.plan import Plan, plan_compression
from compress.quantize._apply import NOTHING, quantized
from compress.quantize._base import QUANTIZATIONS, QuantizationOf
from compress.sparse import sparsify_, taken_by
from search_spaces import DEFAULT_CALIBRATION, Slot, pattern_of, signature_cost
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


@dataclass(frozen=True)
class Learnt:
    """What the training of a network with frozen statistics has decided besides its weights.

    Attributes:
        grids: Scales and zero points of quantizers, by their names in the state of the deployed
            network, and beside the weights of its layers the largest that their grids reach.
    """

    grids: Mapping[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def compress(
    network: PlainNetwork,
    arch: Sequence[Slot],
    calibration: Sequence[Tensor],
    *,
    calibrated_by: str = DEFAULT_CALIBRATION,
    needs_reduced_range: bool = False,
    learnt: Learnt | None = None,
) -> Compressed:
    """Carry out the policy of an extracted, and with that pruned, network.

    Args:
        network: As extracted, or trained further since; it is changed.
        arch: Its slots, which carry widths, what pruning keeps, patterns and precisions.
        calibration: Normalised images, (B, C, H, W) each, from the training split.
        calibrated_by: Name of the calibration of grids.
        needs_reduced_range: Whether sums of two 8-bit products saturate (processors without VNNI).
        learnt: What the network's own training has decided besides its weights; None if its
            statistics and grids are to be measured.
    """
    check_realised_size(network, arch)
    sparsify_(network, arch, calibration)
    final = recalibrated(network, calibration) if learnt is None else network.eval()
    return quantize(
        folded(final),
        arch,
        calibration,
        calibrated_by=calibrated_by,
        needs_reduced_range=needs_reduced_range,
        grids=learnt.grids if learnt else NOTHING,
    )


@torch.no_grad()
def quantize(
    network: nn.Module,
    arch: Sequence[Slot],
    calibration: Sequence[Tensor],
    *,
    calibrated_by: str = DEFAULT_CALIBRATION,
    needs_reduced_range: bool = False,
    grids: Mapping[str, Tensor] = NOTHING,
) -> Compressed:
    """The second half of `compress`, for a folded network with these slots.

    Grids that have been learnt are not calibrated.
    """
    plan = plan_compression(arch)
    if not plan.is_quantized:
        return Compressed(plan, network, network)
    deployed = quantized(
        network,
        quantizations_of(arch),
        calibration,
        calibration=CALIBRATIONS.get(calibrated_by)(),
        needs_reduced_range=needs_reduced_range,
        learnt=grids,
    )
    return Compressed(plan, network, deployed)


def quantizations_of(arch: Sequence[Slot]) -> QuantizationOf:
    """What every module of a network of these slots is quantized by."""
    of_slots = {
        name(slot.name): QUANTIZATIONS.get(slot.signature.precision)()
        for slot in arch
        for name in (module_name, join_name)
    }
    return lambda module: of_slots[module.partition(".")[0]]


def check_realised_size(network: PlainNetwork, arch: Sequence[Slot]) -> None:
    """Every slot has exactly the parameters that its signature declares, and its pattern's."""
    for slot in arch:
        module = network.get_submodule(module_name(slot.name))
        realised = sum(parameter.numel() for parameter in module.parameters())
        cost = signature_cost(slot.signature)
        assert realised == cost.params, f"{slot.name}: {realised} parameters, not {cost.params}"
        pattern = pattern_of(slot.signature.pattern)
        taken, declared = sum(w.numel() for w in taken_by(pattern, module)), pattern.taken(cost)
        assert taken == declared.weights, f"{slot.name}: {taken} to take, not {declared.weights}"
