"""What every stem, downsampling and head keeps to: declared == counted == extracted."""

import functools
import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import Options, Shape, Signature, declaration, signature_cost
from search_spaces.trunk._base import TRUNK
from supernets.network import plain_module
from supernets.supernet import ElasticSlot, elementwise_largest, weights_name
from tests.strategies import noise, randomise_

pytestmark = pytest.mark.parametrize("name", TRUNK.names())

CHANNELS, WIDTHS, CLASSES = 3, (4, 6, 12), 7
STRIDES, SIDES = (1, 2, 4), (8, 9, 16)


def signatures(name: str) -> list[Signature]:
    """Everything that it can be at a few places."""
    operator = declaration(name)
    strides = {"stem": STRIDES, "downsample": (2,), "head": (1,)}[operator.place]
    in_widths = (CHANNELS,) if operator.place == "stem" else WIDTHS
    widths = (CLASSES,) if operator.place == "head" else WIDTHS
    found = []
    for side, stride in itertools.product(SIDES, strides):
        size = 1 if operator.place == "head" else -(-side // stride)
        for in_width, width in itertools.product(in_widths, widths):
            shape = Shape(side, size, in_width, width)
            pick = operator.normalise(Options(dict.fromkeys(operator.dims, stride)), shape)
            found.append(Signature(name, shape, pick, Options(), "fp32"))
    return found


def image_of(signature: Signature) -> torch.Tensor:
    shape = signature.shape
    return noise(2, shape.in_width, shape.in_size, shape.in_size, seed=3)


def test_declared_costs_are_those_that_torch_counts(name: str) -> None:
    for signature in signatures(name):
        module = plain_module(signature).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(image_of(signature)[:1])
        cost = signature_cost(signature)
        assert cost.macs * 2 == counter.get_total_flops()
        assert cost.params == sum(p.numel() for p in module.parameters())


def test_the_output_has_the_declared_shape(name: str) -> None:
    for signature in signatures(name):
        shape = signature.shape
        wanted = (2, shape.width, *([] if declaration(name).place == "head" else [shape.size] * 2))
        assert plain_module(signature)(image_of(signature)).shape == wanted


def test_members_run_with_shared_weights_are_the_plain_modules(name: str) -> None:
    groups: dict[tuple[int, str], list[Signature]] = {}
    for signature in signatures(name):
        groups.setdefault((signature.shape.in_size, weights_name(signature)), []).append(signature)
    for (_, weights), members in groups.items():
        slot = ElasticSlot({weights: functools.reduce(elementwise_largest, members)})
        randomise_(slot, seed=2)
        slot.eval()
        for member in members:
            plain = plain_module(member).eval()
            state = {n: w.detach() for n, w in slot.weights(member).items()}
            plain.load_state_dict(state, strict=False)
            x = image_of(member)
            with torch.no_grad():
                assert (slot(x, member) - plain(x)).abs().max() <= 1e-5


def test_nothing_of_it_can_be_pruned(name: str) -> None:
    for signature in signatures(name):
        assert declaration(name).groups(signature.pick, signature.shape) == {}
