"""Stages whose middle blocks run on clusters of positions.

    block1 - cluster - block2 - ... - last block - rebuild

Slots are called "stage2.cluster" and "stage2.rebuild"; the latter reads the map of block1, the
clusters, and what became of them. Both are left out where there is a position per cluster, or no
block between them.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from search_spaces._choice import Choice, Option, integer
from search_spaces._clusters import TOKENS_PER_CLUSTER, cell_of, grid_of
from search_spaces._dimensions import check_options
from search_spaces._errors import UserError
from search_spaces._sides import Sides
from search_spaces._slot import Shape, Signature
from search_spaces.networks._base import SlotRule
from search_spaces.networks._filled import filled

CLUSTER, REBUILD = "cluster", "rebuild"
CLUSTER_AFTER = "cluster_after"
NO_CLUSTERS = (1,)
"""What a stage offers that never gathers positions."""


def check_clusters(
    place: str, tokens: tuple[int, ...], after: int, depths: tuple[int, ...]
) -> None:
    """Refuse clusters that no block would run on.

    Args:
        place: Name of the stage.
        tokens: Positions per cluster that it offers.
        after: Blocks before clusters are made.
        depths: Numbers of blocks that it offers.

    Raises:
        UserError: Saying what is offered and what is allowed.
    """
    check_options(f"{place}.{TOKENS_PER_CLUSTER}", tokens)
    check_options(f"{place}.{CLUSTER_AFTER}", (after,))
    if tokens != NO_CLUSTERS and after >= max(depths):
        raise UserError(
            f"{place} makes clusters after block {after}, and has at most {max(depths)} blocks. "
            f"Some block must run on clusters. Lower cluster_after to {max(depths) - 1} or less, "
            "or offer more depth."
        )


def cluster_choices(prefix: str, tokens: tuple[int, ...]) -> list[Choice]:
    """How many positions a cluster has, where there may be more than one."""
    return [] if tokens == NO_CLUSTERS else [Choice(f"{prefix}.{TOKENS_PER_CLUSTER}", tokens)]


def clustered_rules(
    blocks: Sequence[SlotRule],
    prefix: str,
    *,
    shared: tuple[str, ...],
    before: str,
    offered: tuple[int, ...],
    after: int,
) -> list[SlotRule]:
    """The rules of a stage's blocks, with those of what makes clusters and undoes them.

    Args:
        blocks: Of all blocks that there may be.
        prefix: Name of the stage.
        shared: Choices besides the stage's own that decide about its map.
        before: The slot before its blocks.
        offered: Positions per cluster.
        after: Blocks before clusters are made.
    """
    if offered == NO_CLUSTERS:
        return list(blocks)
    tokens = f"{prefix}.{TOKENS_PER_CLUSTER}"
    read = (*shared, f"{prefix}.width", f"{prefix}.depth", tokens)
    full = blocks[after - 1].name if after else before
    reads = partial(_read_by_rebuild, prefix, full)
    middle = [rule._replace(shared=(*rule.shared, tokens)) for rule in blocks[after:]]
    return [
        *blocks[:after],
        SlotRule(f"{prefix}.{CLUSTER}", read, ()),
        *middle,
        SlotRule(f"{prefix}.{REBUILD}", read, (), reads, "tokens"),
    ]


@cache
def cluster_size(size: Sides, tokens: Option) -> Sides:
    """Of the map of clusters of a map."""
    return grid_of(size, cell_of(integer(tokens), size))


def cluster_signature(place: str, size: Sides, width: int, tokens: Option) -> Signature | None:
    """What makes clusters or undoes them, in fp32 in every format; None if each has one position.

    Args:
        place: "cluster" or "rebuild".
        size: Of the map.
        width: Its channels.
        tokens: Positions per cluster.
    """
    grid = cluster_size(size, tokens)
    if grid == size:
        return None
    read = math.prod(size) + 2 * math.prod(grid), 1
    shape = Shape(size, grid, width, width) if place == CLUSTER else Shape(read, size, width, width)
    return filled(place, shape, {TOKENS_PER_CLUSTER: tokens})


def clusters_to_json(tokens: tuple[int, ...], after: int) -> dict[str, Any]:
    """What `clusters_from_json` needs; nothing of a stage without clusters."""
    return {} if tokens == NO_CLUSTERS else {TOKENS_PER_CLUSTER: tokens, CLUSTER_AFTER: after}


def clusters_from_json(stage: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's fields about clusters."""
    if TOKENS_PER_CLUSTER not in stage:
        return {}
    tokens = tuple(map(int, stage[TOKENS_PER_CLUSTER]))
    return {TOKENS_PER_CLUSTER: tokens, CLUSTER_AFTER: int(stage[CLUSTER_AFTER])}


def _read_by_rebuild(prefix: str, full: str, options: Mapping[str, Option]) -> tuple[str, ...]:
    """The map that clusters are made of, the clusters, and what became of them."""
    return full, f"{prefix}.{CLUSTER}", f"{prefix}.block{options[f'{prefix}.depth']}"
