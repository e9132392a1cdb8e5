"""Every format keeps its contract, and weighs what it declares with whatever fills the slots."""

import functools
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Any

import pytest

from nas.testing._spaces import random_supernet, uniform
from nas.testing.channel_attentions import space_with as space_attended
from nas.testing.formats import CHECKS, require_declared_bytes
from nas.testing.norms import OPERATORS as NORMED
from nas.testing.norms import space_with
from search_spaces import (
    FORMATS,
    SearchSpace,
    Segmented,
    Staged,
    format_of,
    load_space,
    slot_cost,
)
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_parts._base import CHANNEL_PARTS
from search_spaces.norms import NORMS
from search_spaces.operators._base import OPERATORS
from search_spaces.trunk import TRUNK
from supernets.supernet import Supernet
from tests.strategies import mini_space

by_format = pytest.mark.parametrize("precision", FORMATS.names())
PARTS, ATTENDED = "channel parts", "attended"


@by_format
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_format(precision: str, check: Callable[[str], None]) -> None:
    check(precision)


@functools.cache
def supernet(name: str) -> Supernet:
    if name == PARTS:
        parts = tuple(CHANNEL_PARTS.names())
        space = mini_space(resolution=32, operators=("convnext",), channel_parts=parts)
    elif name == ATTENDED:
        space = space_attended(tuple(CHANNEL_ATTENTIONS.names()))
    elif name in NORMS:
        space = space_with((name,))
    else:
        space = load_space(name, resolution=32, channels=1, num_classes=100)
    return random_supernet(space.with_policy(tuple(FORMATS.names()), (0,)))


@pytest.mark.parametrize("operator", OPERATORS.names())
def test_declared_bytes_are_those_of_a_small_file(operator: str) -> None:
    """The smallest member and the largest one, and formats, in turn over operators."""
    number = sum(operator.encode())
    arch = mini_space(resolution=32, operators=(operator,))

    def encoding(space: SearchSpace) -> tuple[int, ...]:
        return uniform(space, -(number % 2), depth=1)

    num_matrices = sum(slot_cost(slot).matrices for slot in arch.slots(encoding(arch)))
    # With one matrix, of the head, a format is nearly the one of its convolutions.
    apart = [f for f in FORMATS.names() if num_matrices > 1 or not format_of(f).convolutions]
    space = arch.with_policy((apart[number % len(apart)],), (0,))
    require_declared_bytes(random_supernet(space), encoding(space))


def some_of(names: list[str], precision: str) -> list[str]:
    """Those that are weighed in this format: all are, over formats."""
    return names[FORMATS.names().index(precision) :: len(FORMATS.names())]


@by_format
def test_declared_bytes_are_those_of_channel_parts(precision: str) -> None:
    of_all = supernet(PARTS)
    for part in some_of(CHANNEL_PARTS.names(), precision):
        options = {"channel_part": part, "precision": precision}
        require_declared_bytes(of_all, uniform(of_all.space, -1, **options))


@by_format
def test_declared_bytes_are_those_of_norms(precision: str) -> None:
    for norm in some_of(NORMS.names(), precision):
        encoding = uniform(supernet(norm).space, 0, operator=NORMED[0], precision=precision)
        require_declared_bytes(supernet(norm), encoding)


@by_format
def test_declared_bytes_are_those_of_channel_attentions(precision: str) -> None:
    of_all = supernet(ATTENDED)
    for name in some_of(CHANNEL_ATTENTIONS.names(), precision):
        options = {"operator": "mbconv", "channel_attention": name, "precision": precision}
        require_declared_bytes(of_all, uniform(of_all.space, -1, **options))


@by_format
def test_declared_bytes_are_those_of_stems_downsamplings_and_heads(precision: str) -> None:
    network = space_attended(("none",)).network
    assert isinstance(network, Staged)
    with_decoder = Segmented(
        resolution=network.resolution,
        channels=network.channels,
        num_classes=network.num_classes,
        stages=network.stages,
        decoder_widths=(16,),
    )
    offered = [n for n in TRUNK.names() if TRUNK.get(n).place not in ("cluster", "rebuild")]
    for name in some_of(offered, precision):
        places = f"{TRUNK.get(name).place}s"
        of_it = replace(network, **{places: (name,)}) if hasattr(network, places) else with_decoder
        space = SearchSpace.of_network("trunk", of_it).with_policy((precision,), (0,))
        require_declared_bytes(random_supernet(space), uniform(space, -1, operator="basic"))


@by_format
def test_declared_bytes_are_those_of_clusters(precision: str) -> None:
    """Of a map of whole cells and of one that is padded."""
    network = space_attended(("none",)).network
    assert isinstance(network, Staged)
    fields: dict[str, Any] = {"tokens_per_cluster": (4, 9), "cluster_after": 0}
    gathering = [replace(stage, **fields) for stage in network.stages]
    of_it = replace(network, stages=tuple(gathering))
    space = SearchSpace.of_network("clusters", of_it).with_policy((precision,), (0,))
    supernet = random_supernet(space)
    for tokens in (4, 9):
        encoding = uniform(space, -1, operator="basic", tokens_per_cluster=tokens)
        require_declared_bytes(supernet, encoding)


@by_format
def test_declared_bytes_are_those_of_a_large_file_of_all_operators(precision: str) -> None:
    """With another operator in each block."""
    space = supernet("hybrid").space
    row = list(uniform(space, -1, precision=precision))
    for number, column in enumerate(space.columns("operator")):
        row[column] = number % space.cardinalities[column]
    require_declared_bytes(supernet("hybrid"), space.canonical(row))
