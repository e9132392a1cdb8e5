"""Axes of tensors in a traced network, as products of what may be pruned and what may not.

An axis is a tuple of *atoms*, the slowest first: an integer is a size that stays, a text such as
"g0" a prunable group, a `Sum` several axes behind each other. The 96 outputs of a matrix that makes
queries, keys and values of 4 heads with 8 channels each are `(3, "g0", "g1")`: which rows remain
when heads or channels go follows from that alone. () is an axis of length 1.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BATCH = "batch"
"""The atom of the images of a batch; at most once among the axes of a tensor."""


@dataclass(frozen=True)
class Sum:
    """Axes behind each other: what a concatenation makes."""

    parts: tuple["Axis", ...]


Atom = int | str | Sum
Axis = tuple[Atom, ...]
Kept = Mapping[str, np.ndarray]
"""Which members of every group remain, by its name: ascending positions."""


def length(axis: Axis, sizes: Mapping[str, int]) -> int:
    """How long an axis is.

    Args:
        axis: Without the batch.
        sizes: Of the groups.
    """
    return math.prod(_size(atom, sizes) for atom in axis)


def positions(axis: Axis, groups: Mapping[str, int], kept: Kept) -> np.ndarray:
    """Where what remains of an axis is in the whole one: ascending, 1-D.

    Args:
        axis: Without the batch.
        groups: Their whole sizes.
        kept: Of the groups that have lost members.
    """
    found = np.zeros(1, int)
    for atom in axis:
        own = _positions(atom, groups, kept)
        found = (found[:, None] * _size(atom, groups) + own).ravel()
    return found


def groups_of(axis: Axis) -> set[str]:
    """Names of the groups that an axis is made of."""
    found: set[str] = set()
    for atom in axis:
        if isinstance(atom, Sum):
            found.update(*map(groups_of, atom.parts))
        elif isinstance(atom, str) and atom != BATCH:
            found.add(atom)
    return found


def renamed(axis: Axis, names: Mapping[str, str]) -> Axis:
    """The axis with other names for groups."""
    return tuple(_renamed(atom, names) for atom in axis)


def axis_to_json(axis: Axis) -> list[Any]:
    """Everything `axis_from_json` needs."""
    return [
        [axis_to_json(part) for part in atom.parts] if isinstance(atom, Sum) else atom
        for atom in axis
    ]


def axis_from_json(document: Sequence[Any]) -> Axis:
    """The inverse of `axis_to_json`."""
    return tuple(
        Sum(tuple(map(axis_from_json, atom))) if isinstance(atom, list) else atom
        for atom in document
    )


def _size(atom: Atom, sizes: Mapping[str, int]) -> int:
    if isinstance(atom, Sum):
        return sum(length(part, sizes) for part in atom.parts)
    return sizes[atom] if isinstance(atom, str) else atom


def _positions(atom: Atom, groups: Mapping[str, int], kept: Kept) -> np.ndarray:
    if isinstance(atom, str):
        return kept[atom] if atom in kept else np.arange(groups[atom])
    if isinstance(atom, int):
        return np.arange(atom)
    found, before = [], 0
    for part in atom.parts:
        found.append(before + positions(part, groups, kept))
        before += length(part, groups)
    return np.concatenate(found)


def _renamed(atom: Atom, names: Mapping[str, str]) -> Atom:
    if isinstance(atom, Sum):
        return Sum(tuple(renamed(part, names) for part in atom.parts))
    return names.get(atom, atom) if isinstance(atom, str) else atom
