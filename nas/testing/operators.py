"""What every operator keeps to: declared == counted == extracted == exported, at any map.

`OF_SIGNATURE` and `OF_FAMILY` check one signature, or a largest one and a smaller one of the same
weights; `CHECKS` check an operator by its name, over seeded draws.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from nas.testing._by_name import by_name
from nas.testing._drawn import (
    draw_family,
    draw_not_square,
    draw_signature,
    options_of,
    seeded,
    signature,
)
from nas.testing._expect import require
from nas.testing._exported import require_exported_alike
from nas.testing._tensors import noise, randomise_
from search_spaces import (
    CandidateError,
    Options,
    Shape,
    Signature,
    declaration,
    is_mixer,
    signature_cost,
)
from search_spaces.trunk._base import TRUNK
from supernets._elastic import AbstractElastic
from supernets._neighbours import NeighbourProduct, NeighbourSum
from supernets.blocks import BLOCKS
from supernets.criteria.magnitude import Magnitude
from supernets.fold import folded
from supernets.mixers import MIXERS
from supernets.network import plain_module
from supernets.supernet import ElasticSlot, largest_of

DRAWS, EXPORTS, RECURRENT = 20, 2, 1
TOLERANCE = 1e-5

OF_WHOLE_ONES = ("grouped", "matrix_grouped", "grouped_macs", "blocked", "blocked_macs")
"""Costs that pruning can raise: 8 inputs are whole groups where 10 are not; so with blocks."""


def check_it_is_declared_and_implemented(operator: str) -> None:
    """Declaration and implementation have one name, which no stem, downsampling or head has."""
    require(operator not in TRUNK.names(), f"'{operator}' is a stem, downsampling or head, too")
    kind, registry = ("mixer", MIXERS) if is_mixer(operator) else ("block", BLOCKS)
    require(
        operator in registry.names(),
        f"operator '{operator}' is declared as a {kind} and not implemented as one: the same file "
        f"must register an implementation in {kind.upper()}S",
    )


def check_declared_multiply_adds_are_those_that_torch_counts(signature: Signature) -> None:
    """Declared multiply-adds are those that torch counts of the module as deployed.

    Products with neighbours, and sums over them with weights of each position, it does not know.
    """
    module = folded(plain_module(signature).eval())
    sums: list[int] = []
    for child in module.modules():
        if isinstance(child, NeighbourSum | NeighbourProduct):
            child.register_forward_hook(
                lambda each, _, output: sums.append(output.numel() * each.products)
            )
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(_image(signature, batch=1))
    declared = signature_cost(signature).macs
    counted = counter.get_total_flops() / 2 + sum(sums)
    require(
        declared == counted,
        f"{signature} declares {declared} multiply-adds, and torch counts {counted:g}",
    )


def check_declared_parameters_are_those_of_the_module(signature: Signature) -> None:
    """Declared parameters are those of the module."""
    declared = signature_cost(signature).params
    found = sum(p.numel() for p in plain_module(signature).parameters())
    require(declared == found, f"{signature} declares {declared} parameters and has {found}")


def check_the_output_has_the_declared_shape(signature: Signature) -> None:
    """The output has the declared shape."""
    shape = signature.shape
    found = tuple(plain_module(signature)(_image(signature)).shape)
    wanted = (4, shape.width, *shape.size)
    require(found == wanted, f"{signature} gives {found}, not {wanted}")


def check_normalising_twice_changes_nothing_more(drawn: Signature) -> None:
    """Normalising a pick twice changes nothing more."""
    rule = declaration(drawn.operator)
    picked = {**rule.defaults, **drawn.pick}
    again = rule.normalise(Options({dim: picked[dim] for dim in rule.dims}), drawn.shape)
    require(again == drawn.pick, f"{drawn.pick} becomes {again} when it is normalised once more")


def check_sparsity_removes_the_declared_fraction(drawn: Signature) -> None:
    """Sparsity removes the declared fraction, to the nearest multiple."""
    dense = signature(drawn.operator, drawn.pick, drawn.shape)
    for name, group in declaration(drawn.operator).groups(drawn.pick, drawn.shape).items():
        kept = [group.kept(fraction) for fraction in (0.0, 0.25, 0.5, 0.9)]
        what = f"group '{name}' of {drawn} keeps {kept} of {group.size}"
        require(kept[0] == group.size == dense.kept[name], what)
        require(kept == sorted(kept, reverse=True), what)
        require(kept[-1] >= min(group.size, group.multiple), what)
        for fraction, number in zip((0.25, 0.5, 0.9), kept[1:], strict=True):
            require(number == group.size or number % group.multiple == 0, what)
            require(abs(number - (1 - fraction) * group.size) < max(group.multiple, 1), what)


def check_pruning_never_costs_more(drawn: Signature) -> None:
    """Pruning a pick never costs more."""
    dense = signature_cost(signature(drawn.operator, drawn.pick, drawn.shape))
    for name, value in signature_cost(drawn)._asdict().items():
        if name in OF_WHOLE_ONES:
            continue
        most = getattr(dense, name)
        require(value <= most, f"{drawn} has {name} {value}, and {most} without sparsity")


def check_a_pick_uses_as_many_shared_weights_as_it_declares(
    largest: Signature, small: Signature
) -> None:
    """A pick uses as many of the shared weights as it declares parameters."""
    used = _used(_random_slot(largest), small)
    found, declared = sum(int(mask.sum()) for mask in used.values()), signature_cost(small).params
    require(found == declared, f"{small} uses {found} of the weights and declares {declared}")


def check_every_weight_a_pick_uses_gets_a_gradient_and_no_other_does(
    largest: Signature, small: Signature
) -> None:
    """Every weight that a pick uses gets a gradient, and no other does."""
    slot = _random_slot(largest).double()
    expected = _used(slot, small)
    slot.zero_grad()
    # The outermost tap of the widest kernel reaches one position of the smallest maps, and half of
    # all activations are 0: with 64 images about one tap in 10 ** 8 sees nothing.
    x = _image(small, batch=64 if min(small.shape.size) <= 5 else 8).double()
    without_gradient = {
        f"{name}.full.{tensor}": part
        for name, module in slot.named_modules()
        if isinstance(module, AbstractElastic)
        for tensor, part in module.without_gradient.items()
    }
    if not expected:
        return  # it has no weights
    output = slot(x, small)
    (output * noise(*output.shape, seed=5)).sum().backward()
    for name, parameter in slot.named_parameters():
        wanted = expected.get(name, torch.zeros_like(parameter, dtype=torch.bool))
        found = torch.zeros_like(wanted) if parameter.grad is None else parameter.grad != 0
        if name in without_gradient:
            place, parts = without_gradient[name]
            length = len(found) // parts
            part = slice(place * length, (place + 1) * length)
            found[part] = wanted[part]
        require(
            torch.equal(found, wanted),
            f"weights '{name}' of {small}: {int(wanted.sum())} are used, {int(found.sum())} of all "
            "get a gradient",
        )


def check_the_largest_pick_uses_all_weights(largest: Signature, small: Signature) -> None:
    """The largest pick uses all weights."""
    slot = _random_slot(largest)
    used = _used(slot, largest)
    unused = [
        name for name, _ in slot.named_parameters() if name not in used or not used[name].all()
    ]
    require(not unused, f"{largest} leaves a part of {', '.join(unused)} unused")


def check_shared_weights_compute_what_copies_do(largest: Signature, small: Signature) -> None:
    """A pick that runs with shared weights equals the plain module with copies of them."""
    slot = _random_slot(largest).eval()
    for module in slot.modules():
        if isinstance(module, AbstractElastic):
            module.rank(Magnitude())
    plain = plain_module(small).eval()
    plain.load_state_dict({n: w.detach() for n, w in slot.weights(small).items()}, strict=False)
    x = _image(small)
    with torch.no_grad():
        error = float((slot(x, small) - plain(x)).abs().max())
    require(error <= TOLERANCE, f"{small} differs by {error:.2g} from its plain module")


def check_a_mixer_may_recur(operator: str) -> None:
    """A mixer whose slot uses its weights several times keeps to all of that."""
    if not is_mixer(operator):
        return
    for drawn in seeded(operator, partial(draw_signature, repeats=2), RECURRENT):
        for check in OF_SIGNATURE:
            check(drawn)
    for largest, small in seeded(operator, partial(draw_family, repeats=2), RECURRENT):
        for check_family in OF_FAMILY:
            check_family(largest, small)


def check_an_odd_width_runs_or_is_refused(operator: str) -> None:
    """An odd width runs, or is refused with what to offer instead."""
    dims = declaration(operator).dims
    pick = Options({dim: options_of(operator, dim)[0] for dim in dims})
    try:
        odd = signature(operator, pick, Shape.square(8, 8, 9, 9, 0, 4))
    except CandidateError as error:
        require("Offer even widths" in str(error), f"'{error}' must end in 'Offer even widths.'")
    else:
        found = tuple(plain_module(odd)(_image(odd)).shape)
        require(found == (4, 9, 8, 8), f"{odd} gives {found}, not (4, 9, 8, 8)")


def check_files_of_maps_that_are_not_square_compute_what_torch_does(operator: str) -> None:
    """The ONNX file of a map that is not square computes what torch does."""
    for drawn in seeded(operator, draw_not_square, EXPORTS):
        require_exported_alike(drawn)


OF_SIGNATURE: tuple[Callable[[Signature], None], ...] = (
    check_declared_multiply_adds_are_those_that_torch_counts,
    check_declared_parameters_are_those_of_the_module,
    check_the_output_has_the_declared_shape,
    check_normalising_twice_changes_nothing_more,
    check_sparsity_removes_the_declared_fraction,
    check_pruning_never_costs_more,
)
OF_FAMILY: tuple[Callable[[Signature, Signature], None], ...] = (
    check_a_pick_uses_as_many_shared_weights_as_it_declares,
    check_every_weight_a_pick_uses_gets_a_gradient_and_no_other_does,
    check_the_largest_pick_uses_all_weights,
    check_shared_weights_compute_what_copies_do,
)


def _signatures(operator: str) -> Iterator[tuple[Signature]]:
    return ((drawn,) for drawn in seeded(operator, draw_signature, DRAWS))


def _families(operator: str) -> Iterator[tuple[Signature, Signature]]:
    return seeded(operator, draw_family, DRAWS)


CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_is_declared_and_implemented,
    *(by_name(check, _signatures) for check in OF_SIGNATURE),
    *(by_name(check, _families) for check in OF_FAMILY),
    check_a_mixer_may_recur,
    check_an_odd_width_runs_or_is_refused,
    check_files_of_maps_that_are_not_square_compute_what_torch_does,
)


def _image(signature: Signature, *, batch: int = 4) -> torch.Tensor:
    shape = signature.shape
    return noise(batch, shape.in_width, *shape.in_size, seed=3)


def _random_slot(largest: Signature) -> ElasticSlot:
    slot = ElasticSlot(largest_of([largest]))
    randomise_(slot, seed=2)
    return slot


def _used(slot: ElasticSlot, signature: Signature) -> dict[str, torch.Tensor]:
    """1 for every shared number that this signature's plain module is made of."""
    slot.zero_grad()
    for weight in slot.weights(signature).values():
        if weight.requires_grad:
            weight.sum().backward()
    return {n: p.grad.bool() for n, p in slot.named_parameters() if p.grad is not None}
