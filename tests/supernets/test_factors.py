"""Layers of low rank: what two compute, cost and ship in place of one."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from compress.apply import check_realised_size, compress
from compress.bring.bring import bring, give_weights, space_of
from nas.testing._exported import require_shipped_as_simulated
from nas.testing.patterns import require_kept
from search_spaces import DENSE, FULL_RANK, SearchSpace, Slot, UserError, check_ranks, slot_cost
from search_spaces._rank import rank_of
from supernets.supernet import Supernet
from supernets.traced._factors import TwoLayers, factors, two_layers
from tests.compress.bring.models import ResNet, ViT
from tests.strategies import noise

SIDE = 16
RANKS = (FULL_RANK, "1/2", "1/4")
MODELS: tuple[Callable[[], nn.Module], ...] = (
    partial(ViT, 1, side=SIDE, width=32),
    partial(ResNet, 1, 16, 1),
)


@cache
def supernet(number: int) -> Supernet:
    torch.manual_seed(0)
    brought = bring("network", MODELS[number]().eval(), channels=1, resolution=SIDE)
    formats, patterns = ("fp32", "int8", "int4w"), (DENSE, "two-of-four")
    policy = space_of(brought).with_policy(formats, (0.0, 0.5), patterns=patterns, ranks=RANKS)
    found = Supernet(policy)
    give_weights(found, brought)
    found.rank()
    return found.eval()


def slots_of(space: SearchSpace, **options: str | float) -> tuple[Slot, ...]:
    """With these options of every choice of a dimension, and the first of all others."""
    row = [0] * len(space.choices)
    for dimension, option in options.items():
        for column in space.columns(dimension):
            row[column] = space.choices[column].options.index(option)
    return space.slots(space.canonical(row))


@given(st.integers(1, 80), st.integers(1, 80), st.sampled_from(RANKS))
def test_a_layer_becomes_two_only_where_they_multiply_less(
    rows: int, columns: int, rank: str
) -> None:
    inner = rank_of(rows, columns, rank)
    if rank == FULL_RANK:
        assert inner is None
    elif inner is not None:
        assert inner * (rows + columns) < rows * columns
        assert inner % 4 == 0
    else:
        least = max(4, min(rows, columns) // int(rank[-1]) // 4 * 4)
        assert least * (rows + columns) >= rows * columns


def test_their_product_is_the_nearest_matrix_of_that_rank() -> None:
    weight = noise(24, 16)
    first, second = factors(weight, 8)
    error = float((second @ first - weight).square().sum())
    tail = torch.linalg.svdvals(weight)[8:].square().sum()
    assert error == pytest.approx(float(tail), rel=1e-4)


@pytest.mark.parametrize("kernel", [1, 3])
def test_two_convolutions_are_one_with_the_kernel_of_their_product(kernel: int) -> None:
    conv = nn.Conv2d(8, 24, kernel, stride=2, padding=kernel // 2)
    first, second = factors(conv.weight.detach(), 4)
    pair = two_layers(conv, 4)
    pair.load_state_dict({"first.weight": first, "second.weight": second, "second.bias": conv.bias})
    with torch.no_grad():
        conv.weight.copy_((second.flatten(1) @ first.flatten(1)).reshape(conv.weight.shape))
        images = noise(2, 8, 9, 9)
        torch.testing.assert_close(pair(images), conv(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
@pytest.mark.parametrize("number", range(len(MODELS)))
@torch.no_grad()
def test_supernet_and_extracted_network_agree_and_cost_what_is_declared(
    number: int, sparsity: float
) -> None:
    space, images = supernet(number).space, noise(2, 1, SIDE, SIDE)
    macs = []
    for rank in RANKS:
        slots = slots_of(space, rank=rank, sparsity=sparsity)
        network = supernet(number).extract(slots)
        check_realised_size(network, slots)
        torch.testing.assert_close(
            network(images), supernet(number)(images, slots), atol=1e-4, rtol=1e-4
        )
        pairs = [m for m in network.modules() if isinstance(m, TwoLayers)]
        assert bool(pairs) == (rank != FULL_RANK)
        macs.append(sum(slot_cost(slot).macs for slot in slots))
    assert macs == sorted(macs, reverse=True)
    assert macs[2] < macs[1] < macs[0]


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4w"])
@pytest.mark.parametrize("number", range(len(MODELS)))
def test_files_are_those_of_two_layers_in_every_format_and_pattern(
    number: int, precision: str
) -> None:
    found = supernet(number)
    slots = slots_of(found.space, rank="1/4", precision=precision, pattern="two-of-four")
    require_shipped_as_simulated(found, slots, least_same=0.9)
    deployed = compress(found.extract(slots), slots, [noise(4, 1, SIDE, SIDE)]).network
    require_kept(deployed, slots)
    assert "1/4" in {slot.signature.rank for slot in slots}


@torch.no_grad()
def test_members_are_trained_at_full_rank() -> None:
    space, images = supernet(0).space, noise(2, 1, SIDE, SIDE)
    low, full = (slots_of(space, rank=rank) for rank in ("1/4", FULL_RANK))
    apart = supernet(0)(images, low) - supernet(0)(images, full)
    assert apart.abs().max() > 0
    supernet(0).train()
    try:
        assert torch.equal(supernet(0)(images, low), supernet(0)(images, full))
    finally:
        supernet(0).eval()


def test_where_nothing_is_saved_a_rank_is_no_other_network() -> None:
    space = supernet(0).space
    row = np.zeros(len(space.choices), int)
    row[space.columns("rank")] = 2
    candidate = space.candidate(space.canonical(row))
    named = {n: o for n, o in candidate.policy.items() if n.endswith(".rank")}
    for slot in space.slots(candidate.encoding):
        assert slot.signature.rank == named[f"{slot.name}.rank"]
        assert Slot.from_json(slot.to_json()) == slot


@pytest.mark.parametrize(
    ("ranks", "message"),
    [(("full", "2/1"), "no share"), (("full", "half"), "no share"), (("1/2",), "full,1/2")],
)
def test_ranks_are_refused_with_what_they_can_be(ranks: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_ranks(ranks)
