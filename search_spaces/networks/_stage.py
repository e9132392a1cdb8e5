"""A stage of a staged network: what it offers, and the choices and contents of its blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from search_spaces._choice import Choice, Option, OptionTable
from search_spaces._declarations import declaration
from search_spaces._dimensions import check_options
from search_spaces._errors import UserError
from search_spaces._registry import Registry
from search_spaces._sides import Sides
from search_spaces._slot import Shape, Signature
from search_spaces.networks._clustered import (
    NO_CLUSTERS,
    check_clusters,
    clusters_from_json,
    clusters_to_json,
)
from search_spaces.networks._filled import filled
from search_spaces.operators._base import OPERATORS

UNREAD = 0
"""Stands for the option of a dimension that a block's operator does not read."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What may be decided in one stage.

    Attributes:
        widths: Channels of the residual stream.
        depths: Numbers of blocks.
        operators: Names of operators that may fill each block.
        options: For every dimension that an operator reads, such as "kernel_size", its options.
        head_dim: Channels of an attention head.
        tokens_per_cluster: Positions that may be gathered in one for the blocks behind the first
            `cluster_after` ones; 1 is none.
        cluster_after: Blocks that see all positions.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    operators: tuple[str, ...]
    options: OptionTable
    head_dim: int = 16
    tokens_per_cluster: tuple[int, ...] = NO_CLUSTERS
    cluster_after: int = 1

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions that have options."""
        return tuple(name for name, _ in self.options)

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        return {
            "widths": self.widths,
            "depths": self.depths,
            "operators": self.operators,
            "options": dict(self.options),
            "head_dim": self.head_dim,
            **clusters_to_json(self.tokens_per_cluster, self.cluster_after),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Stage":
        """The inverse of `to_json`."""
        return cls(
            widths=tuple(document["widths"]),
            depths=tuple(document["depths"]),
            operators=tuple(document["operators"]),
            options=tuple((name, tuple(v)) for name, v in document["options"].items()),
            head_dim=int(document["head_dim"]),
            **clusters_from_json(document),
        )


def check_stage(place: str, stage: Stage) -> None:
    """Refuse a stage that no network could have.

    Args:
        place: Its name.
        stage: What it offers.

    Raises:
        UserError: Saying what is offered and what is allowed.
    """
    own = (("width", stage.widths), ("depth", stage.depths), ("head_dim", (stage.head_dim,)))
    for name, options in (*own, *stage.options):
        check_options(f"{place}.{name}", options)
    check_clusters(place, stage.tokens_per_cluster, stage.cluster_after, stage.depths)
    for name in stage.operators:
        _check_operator(place, name, stage)


def block_choices(slot: str, block: int, stage: Stage, prefix: str) -> list[Choice]:
    """The choices of a block: its operator, and the dimensions that operators read.

    Args:
        slot: Its name.
        block: Its number in the stage, from 1.
        stage: What is offered.
        prefix: Name of the stage.
    """
    deep_enough = tuple(depth for depth in stage.depths if depth >= block)
    exists: tuple[tuple[str, tuple[Option, ...]], ...] = ()
    if len(deep_enough) < len(stage.depths):
        exists = ((f"{prefix}.depth", deep_enough),)
    choices = [Choice(f"{slot}.operator", stage.operators, exists)]
    for dim, values in stage.options:
        readers = tuple(name for name in stage.operators if dim in declaration(name).dims)
        reads = () if readers == stage.operators else ((f"{slot}.operator", readers),)
        choices.append(Choice(f"{slot}.{dim}", values, exists + reads))
    return choices


@cache
def own_names(slot: str, dims: tuple[str, ...]) -> tuple[str, ...]:
    """Of the choices of a block, the operator's first: a space asks for them 100,000 times."""
    return tuple(f"{slot}.{name}" for name in ("operator", *dims))


@lru_cache(maxsize=1 << 20)
def block_signature(
    dims: tuple[str, ...],
    head_dim: int,
    parity: int,
    width: int,
    values: tuple[Option, ...],
    sparsity: float,
    precision: str,
    size: Sides,
) -> Signature:
    """What fills a block.

    Args:
        dims: Of its stage.
        head_dim: Likewise.
        parity: Of its number in the stage.
        width: Channels.
        values: What is taken of `own_names`, `UNREAD` where nothing is.
        sparsity: Of the policy.
        precision: Likewise.
        size: Of its map.
    """
    shape = Shape(size, size, width, width, parity, head_dim)
    options = dict(zip(dims, values[1:], strict=True))
    return filled(str(values[0]), shape, options, sparsity=sparsity, precision=precision)


def _check_operator(place: str, name: str, stage: Stage) -> None:
    try:
        operator = OPERATORS.get(name)
    except UserError as error:
        raise UserError(f"{place} offers '{name}'. {error}") from error
    given = {*stage.dims, *operator.defaults}
    missing = [dim for dim in operator.dims if dim not in given]
    if missing:
        raise UserError(
            f"{place} offers operator '{name}' but no options for {', '.join(missing)}. "
            f"It reads {', '.join(operator.dims)}. Add them to the stage's options."
        )
    for dim, options in stage.options:
        known = operator.words.get(dim, options) if dim in operator.dims else options
        unknown = [option for option in options if option not in known]
        if unknown:
            plugin = ", or load the plug-in with --plugin FILE.py"
            raise UserError(
                f"{place} offers operator '{name}' with {dim} {unknown[0]!r}, which it does "
                f"not have. It has {', '.join(map(str, known))}. Offer these"
                f"{plugin if isinstance(known, Registry) else ''}."
            )
