"""What every sparsity pattern keeps to: so many of each group, or of the blocks of each layer, in
every format, whatever trains."""

import functools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from compress import compress
from compress.apply import Learnt
from compress.aware import Aware, grids_of
from compress.quantize.int4w import FourBitLinear, unpacked
from compress.quantize.int8_dynamic import DynamicLinear
from compress.sparse import block_sums, kept_sparse, taken_by
from nas.testing._expect import require
from nas.testing._exported import require_shipped_as_simulated
from nas.testing._spaces import mini_space, random_supernet, slots_of
from nas.testing._tensors import noise
from search_spaces import (
    DEFAULT_CALIBRATION,
    DENSE,
    FORMATS,
    PATTERN_GROUP,
    PATTERNS,
    AbstractPattern,
    Slot,
    has_blocks,
    modelled_cost,
    pattern_of,
    slot_cost,
)
from supernets.network import PlainNetwork, module_name
from supernets.optimizers._base import OPTIMIZERS, SCALE
from supernets.supernet import Supernet

SIDE = 16
OPERATORS = ("convnext", "mbconv", "window")
WIDEST = 64
"""Channels: MLPs are whole blocks, once half of their hidden channels have gone."""

LEAST_SAME = 0.98
STEPS, RATE = 3, 0.02


def check_its_numbers_fit_each_other(name: str) -> None:
    """Some of each group remain, and as many bits as are declared say which; some slots have it."""
    pattern = pattern_of(name)
    kept, bits = pattern.kept, pattern.index_bits
    require(0 < kept <= PATTERN_GROUP, f"it keeps {kept} of {PATTERN_GROUP}")
    slots = _slots(name, "convnext", "fp32")
    require(any(s.signature.pattern == name for s in slots), "no slot of a ConvNeXt can have it")
    enough = pattern.is_dense or 2**bits >= PATTERN_GROUP
    require(enough, f"{bits} bits do not tell {PATTERN_GROUP} places apart")
    require(pattern.is_dense == (not pattern.kernel), "it needs a kernel if and only if it spares")


def check_networks_keep_to_it_in_every_format(name: str) -> None:
    """Networks keep so many of each group as extracted, in every format, and as stored files."""
    if pattern_of(name).is_dense:
        return  # as formats' checks say
    for precision in FORMATS.names():
        for operator in OPERATORS:
            slots = _slots(name, operator, precision)
            if all(slot.signature.pattern == DENSE for slot in slots):
                continue  # its layers do not fit
            found = compress(_supernet().extract(slots), slots, [noise(8, 1, SIDE, SIDE)])
            require_kept(found.fp32, slots)
            require_kept(found.network, slots)
        require_shipped_as_simulated(_supernet(), slots, least_same=LEAST_SAME)


@torch.no_grad()
def check_shared_weights_are_those_of_the_extracted_network(name: str) -> None:
    """The supernet answers as the extracted network: compression carries patterns out."""
    images = noise(4, 1, SIDE, SIDE)
    for operator in OPERATORS:
        slots = _slots(name, operator, "fp32")
        own, extracted = _supernet()(images, slots), _supernet().extract(slots)(images)
        require(bool(torch.allclose(own, extracted, atol=1e-4)), f"{operator} differs")


def check_training_keeps_the_mask(name: str) -> None:
    """What is 0 before training is 0 after it, with every optimizer and when grids are learnt."""
    calibration = [noise(16, 1, SIDE, SIDE)]
    operator = "convnext" if pattern_of(name).is_blocked else "mbconv"
    slots = _slots(name, operator, "int8")
    aware = Aware(
        arch=slots,
        calibration=calibration,
        calibrated_by=DEFAULT_CALIBRATION,
        needs_reduced_range=False,
        recalibrates=True,
    )
    for optimizer in OPTIMIZERS.names():
        network = _supernet().extract(slots)
        _train(kept_sparse(lambda module: module, slots)(network.train()), optimizer)
        before = _zeros(network, slots)
        require_kept(network, slots)
        module = kept_sparse(aware, slots)(network.eval())
        _train(module, optimizer)
        after = _zeros(network, slots)
        same = all(bool((b <= a).all()) for a, b in zip(after, before, strict=True))
        require(pattern_of(name).is_dense or same, f"training with {optimizer} moves the mask")
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        copy = PlainNetwork(slots)
        copy.load_state_dict(state)
        learnt = Learnt(grids_of(module))
        require_kept(compress(copy, slots, calibration, learnt=learnt).network, slots)


def check_modelled_costs_are_those_of_what_remains(name: str) -> None:
    """Modelled multiply-adds and bytes are those of what remains, none are more than dense ones."""
    pattern = pattern_of(name)
    for precision in FORMATS.names():
        for slot in _slots(name, "convnext", precision):
            cost, modelled = slot_cost(slot), modelled_cost(slot)
            is_sparse = slot.signature.pattern != DENSE
            macs = pattern.taken(cost).macs
            spared = macs - pattern.kept_of(macs) if is_sparse else 0
            require(modelled.macs == cost.macs - spared, "modelled multiply-adds differ")
            require(is_sparse or not modelled.spared_bytes, "a dense slot spares bytes")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_its_numbers_fit_each_other,
    check_networks_keep_to_it_in_every_format,
    check_shared_weights_are_those_of_the_extracted_network,
    check_training_keeps_the_mask,
    check_modelled_costs_are_those_of_what_remains,
)


def _slots(pattern: str, operator: str, precision: str) -> tuple[Slot, ...]:
    space = _supernet().space
    return slots_of(
        space, operator=operator, precision=precision, pattern=pattern, depth=1, sparsity=0.5
    )


def _train(module: nn.Module, optimizer: str) -> None:
    """A few steps; then the weights are read, as they are written to files."""
    steppers = OPTIMIZERS.get(optimizer)().build(module, weight_decay=0.1)
    for step in range(STEPS):
        logits_BK = module(noise(8, 1, SIDE, SIDE, seed=step))
        labels_B = torch.arange(8) % logits_BK.shape[1]
        nn.functional.cross_entropy(logits_BK, labels_B).backward()
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = RATE * group[SCALE]
            stepper.step()
            stepper.zero_grad()
    module.state_dict()


def _zeros(network: PlainNetwork, slots: Sequence[Slot]) -> list[Tensor]:
    return [
        weight == 0
        for slot in slots
        for weight in taken_by(pattern_of(slot.signature.pattern), _module(network, slot))
    ]


def require_kept(network: nn.Module, slots: Sequence[Slot]) -> None:
    """No group, and no layer in blocks, of a slot with a pattern has more than remains of it."""
    for slot in slots:
        pattern = pattern_of(slot.signature.pattern)
        if pattern.is_dense:
            continue
        for name, weight in _weights(_module(network, slot), pattern):
            most, of = pattern.kept, PATTERN_GROUP
            if pattern.is_blocked:
                blocks = block_sums((weight != 0).float())
                found, of = int((blocks > 0).sum()), blocks.numel()
                most = pattern.kept_of(of)
            else:
                found = int((weight.unflatten(1, (-1, PATTERN_GROUP)) != 0).sum(2).max())
            require(found <= most, f"{slot.name}.{name} keeps {found} of {of}")


def _module(network: nn.Module, slot: Slot) -> nn.Module:
    return network.get_submodule(module_name(slot.name))


def _weights(module: nn.Module, pattern: AbstractPattern) -> Iterator[tuple[str, Tensor]]:
    """Of layers that a pattern fits, in whatever format: (outputs, inputs, ...)."""
    for name, layer in module.named_modules():
        weight = getattr(layer, "weight", None)
        if isinstance(layer, FourBitLinear):
            packed, scale = layer.get_buffer("weight"), layer.get_buffer("weight_scale")
            weight = unpacked(packed, scale)[:, : layer.in_features]
        elif isinstance(layer, DynamicLinear):
            weight = layer.weight.T
        if not isinstance(weight, Tensor) or weight.ndim < 2:
            continue
        width, in_width = weight.shape[:2]
        fits = in_width % PATTERN_GROUP == 0
        if pattern.is_blocked:
            fits = weight.ndim == 2 and has_blocks(in_width, width)
        if fits:
            yield name, weight.float()  # numbers of eight bits cannot be compared


def _supernet() -> Supernet:
    """Narrow networks with all patterns that there are, in all formats, with random weights."""
    return _of_patterns(tuple(PATTERNS.names()), tuple(FORMATS.names()))


@functools.lru_cache(maxsize=1)
def _of_patterns(patterns: tuple[str, ...], formats: tuple[str, ...]) -> Supernet:
    space = mini_space(OPERATORS, resolution=SIDE, widest=WIDEST)
    return random_supernet(space.with_policy(formats, (0, 0.5), patterns=patterns))
