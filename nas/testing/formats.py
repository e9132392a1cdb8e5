"""What every format keeps to: it exports, it weighs what it declares, it computes what it says."""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from compress import Compressed, compress
from compress.apply import Learnt
from compress.artefact import write_artefact
from compress.aware import aware, grids_of
from compress.quantize._base import QUANTIZATIONS
from nas.targets import TARGETS, AbstractTarget
from nas.testing._expect import require, require_implemented
from nas.testing._exported import compress_for_here, export, require_shipped_as_simulated
from nas.testing._learnt import require_learnt_alike
from nas.testing._spaces import mini_space, random_supernet, slots_of, uniform
from nas.testing._tensors import noise
from search_spaces import (
    FORMATS,
    FULL_PRECISION,
    Cost,
    Slot,
    UserError,
    format_of,
    load_space,
    slot_cost,
)
from supernets.calibrate import recalibrated
from supernets.supernet import Supernet

SIDE = 32
OPERATORS = ("convnext", "mbconv")
LEAST_SAME = 0.98
MOST_ERROR, MOST_ERROR_FLOATING = 0.05, 0.5
"""Of the logits' variance, in a network with random weights. Floating-point numbers of eight bits
have two or three for the digits, and nothing averages out what 23 such layers round off."""

LEAST_ALIKE = 0.1
"""Cosine of gradients before and after quantization: that of others is within 0.02 of 0."""

GRAPH_SHARE = 0.25
"""Of a file in full precision: what scales and nodes add to a file of fewer bits at most."""

SMALL_BYTES = 100_000
SMALL_TOLERANCE, BYTES_TOLERANCE = 0.05, 0.02
"""Of declared bytes, in files smaller than that and in others."""


def check_it_is_declared_and_implemented(precision: str) -> None:
    """It is declared and implemented under one name."""
    require_implemented("format", precision, QUANTIZATIONS, "QUANTIZATIONS")


def check_some_target_has_the_kernels_that_it_needs(precision: str) -> None:
    """Some target has the kernels that it needs."""
    needed = ", ".join(sorted(format_of(precision).kernels))
    found = any(TARGETS.get(name)().offers(precision) for name in TARGETS.names())
    require(found, f"no target that is loaded has all of the kernels {needed}")


def check_it_runs_exported_and_stored_as_simulated(precision: str) -> None:
    """Its networks answer alike as modules, ONNX files and checkpoints."""
    for operator in OPERATORS:
        slots = slots_of(_supernet().space, operator=operator, precision=precision)
        require_shipped_as_simulated(_supernet(), slots, least_same=LEAST_SAME)


def check_it_runs_beside_other_formats(precision: str) -> None:
    """So do networks that have it in the first stage, and full precision or integers behind it.

    Formats that leave values between layers in floating point are one to their neighbours.
    """
    space = _supernet().space
    largest = space.candidate([n - 1 for n in space.cardinalities]).arch
    arch = {n: "mbconv" if n.endswith("operator") else o for n, o in largest.items()}
    for other in FORMATS.names():
        if other != FULL_PRECISION and not format_of(other).is_integer:
            continue
        policy = {f"stage{n}.precision": other for n in (2, 3)} | {"stage1.precision": precision}
        slots = space.slots(space.encode({**arch, **policy}))
        require_shipped_as_simulated(_supernet(), slots, least_same=LEAST_SAME)


@torch.no_grad()
def check_the_identity_changes_no_bit_and_every_other_little(precision: str) -> None:
    """A network that is not quantized keeps every bit, and any other nearly its answers."""
    found, images = _compressed(precision), _images()
    before, after = found.fp32(images), found.network(images)
    if not format_of(precision).is_quantized:
        require(torch.equal(before, after), "it is not quantized, and answers otherwise")
        return
    error = float((before - after).square().mean() / before.var())
    most = MOST_ERROR_FLOATING if format_of(precision).is_floating else MOST_ERROR
    require(0 < error < most, f"the error is {error:.2g} of the logits' variance")


def check_it_errs_less_than_formats_of_fewer_bits(precision: str) -> None:
    """It errs less than formats of fewer bits."""
    many = format_of(precision).bits
    for name in FORMATS.names():
        few = format_of(name).bits
        if few != many and all(a <= b for a, b in zip(few, many, strict=True)):
            errors = _mean_error(precision), _mean_error(name)
            what = f"with {many} bits it errs by {errors[0]:.2g}"
            require(errors[0] < errors[1], f"{what}, '{name}' with {few} by {errors[1]:.2g}")


def check_gradients_reach_the_images(precision: str) -> None:
    """Gradients of what a network answers reach its images, somewhat as before quantization."""
    found = _compressed(precision)
    one, other = (_gradient(network) for network in (found.fp32, found.network))
    alike = float(torch.cosine_similarity(one, other, dim=0))
    require(alike >= LEAST_ALIKE, f"the cosine with gradients before quantization is {alike:.2f}")


def check_integer_kernels_run_where_it_multiplies_integers(precision: str) -> None:
    """Integer kernels run where it multiplies integers, and else none."""
    slots = slots_of(_supernet().space, operator="mbconv", precision=precision)
    network = compress_for_here(_supernet().extract(slots), slots, [_images()[:2]]).network
    for name in TARGETS.names():
        target: AbstractTarget = TARGETS.get(name)()
        if not target.offers(precision) or not _is_installed(target):
            continue
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            file = Path(folder, f"a{target.artefact}")
            write_artefact(target.artefact, network, slots, file)
            found = target.integer_kernels(file)
        declared = format_of(precision)
        bits, expected = declared.activation_bits, declared.multiplies_integers
        what = f"activations have {bits} bits, and {found} integer kernels run on '{name}'"
        require((found > 0) == expected, what)


def check_what_is_trained_in_its_place_rounds_as_it_does(precision: str) -> None:
    """If its grids can be learnt, what is trained in its place rounds as it does."""
    calibration = [noise(32, 1, SIDE, SIDE)]
    for operator in OPERATORS:
        slots = slots_of(_supernet().space, operator=operator, precision=precision, sparsity=0)
        network = _supernet().extract(slots)
        recalibrated(network, calibration)
        trained = aware(network, slots, calibration)
        grids = grids_of(trained)
        if grids:
            deployed = compress(network, slots, calibration, learnt=Learnt(grids)).network
            require_learnt_alike(trained, deployed, _images())


def check_declared_bytes_are_those_of_the_file(precision: str) -> None:
    """Declared bytes are those of the ONNX file, to 2 % (5 % below 100 kB)."""
    space = _supernet().space
    for operator, end in zip(OPERATORS, (0, -1), strict=True):
        encoding = uniform(space, end, operator=operator, precision=precision, sparsity=0)
        require_declared_bytes(_supernet(), encoding)


def check_fewer_bits_of_weights_take_less_room(precision: str) -> None:
    """A file is smaller than in full precision by what its weights have fewer bits, if any."""
    space = load_space("mobile", resolution=SIDE, channels=1, num_classes=100)
    space = space.with_policy(tuple(dict.fromkeys((precision, FULL_PRECISION))), (0.0,))
    assert space.costs is not None
    own, full = (
        space.costs.of("size_bytes", np.array([uniform(space, precision=name)]))[0]
        for name in (precision, FULL_PRECISION)
    )
    cost = sum(map(slot_cost, space.slots(uniform(space, precision=precision))), Cost())
    share = _share_of_bits(precision, cost)
    most = share + GRAPH_SHARE if share == 1.0 else min(1.0, share + GRAPH_SHARE)
    require(
        share <= own / full <= most,
        f"a file has {own / full:.2f} of the bytes of one in {FULL_PRECISION}; with so many bits "
        f"it must be {share:.2f} to {most:.2f}",
    )


@torch.no_grad()
def check_where_it_is_another_format_it_computes_and_weighs_as_that_one(precision: str) -> None:
    """Where a slot has another format in its place, both compute the same and are as large."""
    space = _supernet().space
    for operator in OPERATORS:
        slots = slots_of(space, operator=operator, precision=precision, sparsity=0)
        named = tuple(
            replace(s, signature=replace(s.signature, precision=precision)) for s in slots
        )
        if slots == named:
            continue
        one, other = (compress(_supernet().extract(s), s, [_images()]) for s in (slots, named))
        same = torch.equal(one.network(_images()), other.network(_images()))
        others = {slot.signature.precision for slot in slots} - {precision}
        require(same, f"it computes otherwise than {', '.join(others)} in the same places")
        bytes_of = (sum(_costs(slot) for slot in each) for each in (slots, named))
        require(len(set(bytes_of)) == 1, f"it declares other bytes than {', '.join(others)}")


def _costs(slot: Slot) -> float:
    return format_of(slot.signature.precision).size_bytes(slot_cost(slot))


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_is_declared_and_implemented,
    check_some_target_has_the_kernels_that_it_needs,
    check_it_runs_exported_and_stored_as_simulated,
    check_it_runs_beside_other_formats,
    check_the_identity_changes_no_bit_and_every_other_little,
    check_it_errs_less_than_formats_of_fewer_bits,
    check_gradients_reach_the_images,
    check_integer_kernels_run_where_it_multiplies_integers,
    check_what_is_trained_in_its_place_rounds_as_it_does,
    check_declared_bytes_are_those_of_the_file,
    check_fewer_bits_of_weights_take_less_room,
    check_where_it_is_another_format_it_computes_and_weighs_as_that_one,
)


def require_declared_bytes(supernet: Supernet, encoding: tuple[int, ...]) -> None:
    """A network weighs what it declares."""
    space = supernet.space
    assert space.costs is not None
    slots = space.slots(encoding)
    network = compress(supernet.extract(slots), slots, [_images()[:2]]).network
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        measured = export(network, space, Path(folder, "a.onnx")).stat().st_size
    declared = space.costs.of("size_bytes", np.array([encoding]))[0]
    tolerance = SMALL_TOLERANCE if measured < SMALL_BYTES else BYTES_TOLERANCE
    operators = " ".join(slot.signature.operator for slot in slots)
    require(
        abs(declared - measured) <= tolerance * measured,
        f"of '{operators}' a file of {declared:.0f} bytes is declared, and one of {measured} is "
        f"written ({declared / measured - 1:+.1%})",
    )


def _share_of_bits(precision: str, cost: Cost) -> float:
    """Bits of all weights, of those in full precision."""
    of_matrices, _, of_convolutions, _ = format_of(precision).bits
    bits = of_matrices * cost.matrix_weights + of_convolutions * cost.but_matrices.weights
    return bits / (format_of(FULL_PRECISION).weight_bits * cost.weights)


def _gradient(network: torch.nn.Module) -> torch.Tensor:
    images = _images().requires_grad_()
    network(images).square().sum().backward()
    assert images.grad is not None
    return images.grad.flatten()


def _compressed(precision: str) -> Compressed:
    return _compressed_among(tuple(FORMATS.names()), precision)


@functools.lru_cache(maxsize=16)
def _compressed_among(formats: tuple[str, ...], precision: str) -> Compressed:
    supernet = _of_formats(formats)
    slots = slots_of(supernet.space, operator="mbconv", precision=precision, sparsity=0)
    return compress(supernet.extract(slots), slots, [noise(32, 1, SIDE, SIDE)])


@torch.no_grad()
def _mean_error(precision: str) -> float:
    """Mean squared error of logits against those before quantization."""
    found = _compressed(precision)
    return (found.fp32(_images()) - found.network(_images())).square().mean().item()


def _supernet() -> Supernet:
    """Narrow networks in all formats that there are, with random weights."""
    return _of_formats(tuple(FORMATS.names()))


@functools.lru_cache(maxsize=1)
def _of_formats(formats: tuple[str, ...]) -> Supernet:
    space = mini_space(OPERATORS, resolution=SIDE)
    return random_supernet(space.with_policy(formats, (0, 0.25, 0.5)))


def _images() -> torch.Tensor:
    return noise(32, 1, SIDE, SIDE, seed=2)


def _is_installed(target: AbstractTarget) -> bool:
    try:
        target.describe()
    except UserError:
        return False
    return True
