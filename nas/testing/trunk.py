"""What all parts of a trunk keep to: declared == counted == extracted == exported."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.testing._expect import require
from nas.testing._exported import require_exported_alike
from nas.testing._tensors import noise, randomise_
from search_spaces import (
    FULL_PRECISION,
    Options,
    Shape,
    Signature,
    declaration,
    signature_cost,
)
from search_spaces._sides import Sides
from search_spaces.networks._clustered import CLUSTER, REBUILD, cluster_signature
from search_spaces.trunk._base import AbstractTrunk
from search_spaces.trunk.subpixel import scale_of
from supernets.network import plain_module
from supernets.supernet import ElasticSlot, largest_of, weights_name

CHANNELS, WIDTHS, CLASSES = 3, (4, 6, 12), 7
PIXELS = 12
"""Outputs at each position of what gives images: 2 x 2 pixels of RGB."""

TOKENS = (2, 4)
"""Positions of a cluster."""

STRIDES, SIZES = (1, 2, 4), ((8, 8), (9, 9), (16, 16), (9, 14))
ANY_SIZES = tuple((side, side) for side in range(5, 18))
TOLERANCE = 1e-5
ENLARGING = ("upsample", "masks")
"""Places of what gives larger maps."""


def check_declared_costs_are_those_that_torch_counts(name: str) -> None:
    """Declared multiply-adds and parameters are those that torch counts."""
    for signature in signatures_of(name):
        module = plain_module(signature).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(_image_of(signature)[:1])
        cost, macs = signature_cost(signature), counter.get_total_flops() // 2
        params = sum(p.numel() for p in module.parameters())
        place = f"at {signature.shape}"
        require(cost.macs == macs, f"{place} it declares {cost.macs} multiply-adds and has {macs}")
        require(
            cost.params == params, f"{place} it declares {cost.params} parameters and has {params}"
        )


def check_the_output_has_the_declared_shape(name: str) -> None:
    """The output has the declared shape: sides are divided, rounded up, or multiplied and cut."""
    for signature in (*signatures_of(name), *signatures_of(name, ANY_SIZES, WIDTHS[:1])):
        shape = signature.shape
        wanted: tuple[int, ...] = (2, shape.width, *shape.size)
        if _declared(name).place == "head":
            wanted = (2, shape.width)
        if _declared(name).gives_images:
            scale, channels = scale_of(shape.width)
            wanted = (2, channels, *(scale * side for side in shape.size))
        found = tuple(plain_module(signature)(_image_of(signature)).shape)
        require(found == wanted, f"at {shape} its output is {found} instead of {wanted}")


def check_members_with_shared_weights_are_plain_modules(name: str) -> None:
    """A member that runs with shared weights is the plain module with copies of them."""
    groups: dict[tuple[Sides, str], list[Signature]] = {}
    for signature in signatures_of(name):
        groups.setdefault((signature.shape.in_size, weights_name(signature)), []).append(signature)
    for members in groups.values():
        slot = ElasticSlot(largest_of(members))
        randomise_(slot, seed=2)
        slot.eval()
        for member in members:
            plain = plain_module(member).eval()
            state = {n: w.detach() for n, w in slot.weights(member).items()}
            plain.load_state_dict(state, strict=False)
            x = _image_of(member)
            with torch.no_grad():
                apart = float((slot(x, member) - plain(x)).abs().max())
            require(apart <= TOLERANCE, f"at {member.shape} answers differ by {apart:.2g}")


def check_the_file_of_a_map_that_is_not_square_computes_what_torch_does(name: str) -> None:
    """The ONNX file of a map that is not square computes what torch does."""
    for signature in signatures_of(name, SIZES[-1:], WIDTHS[:1]):
        require_exported_alike(signature)


def check_nothing_of_it_can_be_pruned(name: str) -> None:
    """Nothing of it can be pruned."""
    for signature in signatures_of(name):
        groups = _declared(name).groups(signature.pick, signature.shape)
        require(not groups, f"it declares groups {', '.join(groups)}")


CHECKS: tuple[Callable[[str], None], ...] = (
    check_declared_costs_are_those_that_torch_counts,
    check_the_output_has_the_declared_shape,
    check_members_with_shared_weights_are_plain_modules,
    check_the_file_of_a_map_that_is_not_square_computes_what_torch_does,
    check_nothing_of_it_can_be_pruned,
)


def _declared(name: str) -> AbstractTrunk:
    found = declaration(name)
    assert isinstance(found, AbstractTrunk)
    return found


def signatures_of(
    name: str, sizes: Sequence[Sides] = SIZES, widths: Sequence[int] = WIDTHS
) -> list[Signature]:
    """Everything that it can be at maps of these sizes."""
    operator = _declared(name)
    if operator.place in (CLUSTER, REBUILD):
        every = itertools.product(sizes, widths, TOKENS)
        of_place = (cluster_signature(operator.place, *each) for each in every)
        return [signature for signature in of_place if signature is not None]
    strides = {"stem": STRIDES, "downsample": (2,)}.get(operator.place, (1,))
    in_widths = (CHANNELS,) if operator.place == "stem" else widths
    out_widths = widths
    if operator.place in ("head", "masks"):
        out_widths = (PIXELS if operator.gives_images else CLASSES,)
    found = []
    for in_size, stride in itertools.product(sizes, strides):
        rows, columns = (-(-side // stride) for side in in_size)
        size = (rows, columns)
        if operator.place == "head" and not operator.gives_images:
            size = (1, 1)
        if operator.place in ENLARGING:
            size = (2 * rows, 2 * columns - 1)  # of which one was odd before it was halved
        for in_width, width in itertools.product(in_widths, out_widths):
            keeps_width = operator.place == "upsample" and not operator.mixing
            if keeps_width and in_width != width:
                continue
            shape = Shape(in_size, size, in_width, width)
            pick = operator.normalise(Options(dict.fromkeys(operator.dims, stride)), shape)
            found.append(Signature(name, shape, pick, Options(), FULL_PRECISION))
    return found


def _image_of(signature: Signature) -> torch.Tensor:
    shape = signature.shape
    return noise(2, shape.in_width, *shape.in_size, seed=3)
