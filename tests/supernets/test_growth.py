"""Growing keeps what a network computes; where it cannot, it says so."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from nas.testing._drawn import DIMENSIONS
from search_spaces import (
    Option,
    Options,
    SearchSpace,
    Shape,
    Signature,
    Slot,
    UserError,
    declaration,
)
from search_spaces.operators._base import OPERATORS
from supernets.growth import _shares, _sources, grown
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from tests.strategies import noise, options_of, randomise_, signature, uniform

WIDTH = "width"
GROWING = (WIDTH, "expand_ratio", "num_heads", "kernel_size", "growth", "num_convs", "order")
CANNOT: Mapping[str, tuple[str, ...]] = {
    "convshare": ("width",),
    "dcls": ("kernel_size",),
    "dhvt": ("num_heads", "width"),
    "dvss": ("width",),
    "efficientvmamba": ("width",),
    "fdconv": ("kernel_size",),
    "fit": ("num_heads",),
    "hornet": ("order",),
    "hyperzzw": ("kernel_size",),
    "inception": ("width",),
    "msvmamba": ("width",),
    "neighbourhood": ("kernel_size",),
    "ntb": ("width",),
    "osa": ("num_convs",),
    "spartan": ("width",),
    "svt": ("width",),
    "tic": ("kernel_size", "num_heads", "width"),
    "unireplk": ("kernel_size",),
}
"""Of operators, in what their blocks cannot grow although it decides about them."""

OF_CELLS = ("avgpool", "conv", "dilconv", "maxpool", "sepconv", "stripconv")
"""Operators that nothing leads around: a new block of one cannot be the identity."""

TOLERANCE = 1e-4


def block(operator: str, width: int = 16, **options: Option) -> Signature:
    """A block of an operator whose other options are the first ones that are not 1."""
    pick = {dim: first_of(operator, dim) for dim in declaration(operator).dims}
    place = Shape.square(8, 8, width, width, 0, 4)
    return signature(operator, Options({**pick, **options}), place)


def first_of(operator: str, dim: str) -> Option:
    offered = options_of(operator, dim)
    return offered[1] if dim == "expand_ratio" else offered[0]


def network_of(*signatures: Signature) -> PlainNetwork:
    """Blocks in a row with random weights."""
    network = PlainNetwork(slots(*signatures))
    randomise_(network, seed=1)
    return network.eval()


def slots(*signatures: Signature) -> list[Slot]:
    return [Slot(f"block{i}", each) for i, each in enumerate(signatures)]


def larger_blocks(operator: str) -> Iterator[tuple[str, Signature, Signature]]:
    """Two blocks, of which one has twice the width, or more of one of its dimensions."""
    yield WIDTH, block(operator), block(operator, 2 * 16)
    for dim in set(GROWING) & set(declaration(operator).dims):
        offered = [o for o in DIMENSIONS.get(dim, (1, 2, 3)) if isinstance(o, int)]
        first = first_of(operator, dim)
        assert isinstance(first, int)
        more = min(o for o in offered if o > first)
        small, large = block(operator, **{dim: first}), block(operator, **{dim: more})
        if small != large:
            yield dim, small, large


def cannot(operator: str) -> set[str]:
    """In what a block of an operator cannot grow."""
    found = set()
    for dim, small, large in larger_blocks(operator):
        try:
            grown(network_of(small), slots(large))
        except UserError:
            found.add(dim)
    return found


@pytest.mark.parametrize("operator", sorted({*OPERATORS.names()} - {*OF_CELLS}))
def test_a_new_block_of_any_operator_changes_nothing(operator: str) -> None:
    network = network_of(block("basic"))
    larger = grown(network, slots(block("basic"), block(operator)))
    x = noise(2, 16, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(larger(x), network(x), atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("operator", OF_CELLS)
def test_a_new_block_that_nothing_leads_around_is_refused(operator: str) -> None:
    with pytest.raises(UserError, match="a new block"):
        grown(network_of(block("basic")), slots(block("basic"), block(operator)))


@pytest.mark.parametrize("operator", OPERATORS.names())
def test_what_a_block_of_any_operator_cannot_grow_in_is_known(operator: str) -> None:
    assert cannot(operator) == set(CANNOT.get(operator, ()))


def pair(space: SearchSpace, operator: str) -> tuple[PlainNetwork, list[Slot]]:
    """A smallest member with random weights, and slots of one with more blocks, twice the width and
    larger kernels."""
    supernet = Supernet(space)
    randomise_(supernet, seed=1)
    common = {"operator": operator, "expand_ratio": 2, "eca": 0, "sparsity": 0, "precision": "fp32"}
    small, large = (space.slots(uniform(space, end, **common)) for end in (0, -1))
    return supernet.extract(small), list(large)


@pytest.mark.parametrize("operator", ["basic", "mbconv"])
def test_a_deeper_and_wider_network_has_the_same_logits(mini: SearchSpace, operator: str) -> None:
    network, arch = pair(mini, operator)
    larger = grown(network, arch)
    assert len(larger.arch) > len(network.arch)
    assert num_parameters(larger) > 3 * num_parameters(network)
    x = noise(4, 1, 16, 16)
    with torch.no_grad():
        error = (larger(x) - network(x)).abs().max() / network(x).abs().max()
    assert error <= TOLERANCE
    assert not larger.training


def num_parameters(network: PlainNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_copies_learn_differently_and_new_blocks_learn(mini: SearchSpace) -> None:
    network, arch = pair(mini, "mbconv")
    larger = grown(network, arch).train()
    labels = torch.arange(4)
    F.cross_entropy(larger(noise(4, 1, 16, 16)), labels).backward()
    stem = larger.get_parameter("stem.layer.conv.weight")
    width = len(network.get_parameter("stem.layer.conv.weight"))
    assert torch.equal(stem[:width], stem[width : 2 * width]), "they are copies"
    assert stem.grad is not None
    assert not torch.allclose(stem.grad[:width], stem.grad[width : 2 * width])
    new = larger.get_parameter("stage1_block2.project.norm.weight")
    assert not new.any(), "the identity"
    assert new.grad is not None
    assert new.grad.any()


def test_the_same_seed_grows_the_same_network(mini: SearchSpace) -> None:
    network, arch = pair(mini, "mbconv")
    one, same, other = (grown(network, arch, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_network_that_is_no_larger_is_copied(mini: SearchSpace) -> None:
    network, _ = pair(mini, "window")
    found = grown(network, network.arch).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in network.state_dict().items())


def test_copies_are_of_what_lies_in_front_of_them() -> None:
    def sources(before: int | list[int], after: int) -> list[int]:
        found = _sources(before if isinstance(before, int) else torch.tensor(before), after)
        assert found is not None
        return found.tolist()

    assert sources(3, 6) == [0, 1, 2, 0, 1, 2]
    assert sources(4, 6) == [0, 1, 2, 3, 2, 3]
    assert sources(2, 5) == [0, 1, 0, 1, 0]
    assert sources([0, 1, 4, 5], 8) == [0, 1, 0, 1, 2, 3, 2, 3], "queries, and keys below them"
    assert sources(4, 4) == [0, 1, 2, 3]
    assert _sources(4, 3) is None


def test_copies_share_what_is_read_and_what_has_none_is_untouched() -> None:
    source = torch.tensor([0, 1, 2, 1, 1])
    shares = _shares(source, torch.Generator().manual_seed(0))
    assert shares[[0, 2]].tolist() == [1.0, 1.0]
    torch.testing.assert_close(shares[source == 1].sum(), torch.tensor(1.0, dtype=shares.dtype))
    assert len(set(shares.tolist())) == 4, "no two copies have equal parts"


def test_what_would_compute_something_else_is_refused() -> None:
    network = network_of(block("convnext", 8))
    with pytest.raises(UserError, match=r"slot 'block0' with operator 'convnext' does not compute"):
        grown(network, slots(block("convnext", 12)))
    grown(network, slots(block("convnext", 16)))


@pytest.mark.parametrize(
    ("larger", "message"),
    [
        ([], "slot 'block0' is not in the larger network"),
        ([block("mbconv", 8)], "has less of what its operator 'mbconv' calls|is narrower"),
        ([block("mbconv", expand_ratio=1)], "has less of what its operator 'mbconv' calls"),
        ([block("mbconv", kernel_size=1)], "has less of what its operator 'mbconv' calls 'kernel'"),
        (
            [block("basic")],
            r"slot 'block0' is 'operators.mbconv.*' on a map of 8x8, and 'operators",
        ),
        (
            [replace(block("mbconv"), shape=Shape.square(16, 16, 16, 16, 0, 4))],
            "grows where its operator, norm, channel part and map stay",
        ),
    ],
)
def test_what_is_not_larger_is_refused(larger: list[Signature], message: str) -> None:
    with pytest.raises(UserError, match=message):
        grown(network_of(block("mbconv")), slots(*larger))
