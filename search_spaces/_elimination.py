"""Eliminating one choice after another: exact extremes and counts over all combinations.

Source: Dechter, Bucket Elimination (1999).
"""

import math
from collections.abc import Sequence

import numpy as np

MACHINE_INTEGER = 2**62
"""Counts beyond it are Python's integers: exact, and slow."""

Factor = tuple[tuple[int, ...], np.ndarray]
"""Indices of choices, and an array with one axis for each of them."""


def elimination_order(factors: Sequence[Factor]) -> list[int]:
    """Choices in an order that keeps intermediate tables small: the smallest one first."""
    sizes = {
        choice: number
        for columns, table in factors
        for choice, number in zip(columns, table.shape, strict=True)
    }
    scopes = [set(columns) for columns, _ in factors]
    remaining = set().union(*scopes)
    order: list[int] = []

    def cost(choice: int) -> tuple[int, int]:
        joined = set().union(*(scope for scope in scopes if choice in scope))
        return math.prod(sizes[other] for other in joined), choice

    while remaining:
        choice = min(remaining, key=cost)
        joined = set().union(*(s for s in scopes if choice in s)) - {choice}
        scopes = [s for s in scopes if choice not in s] + [joined]
        order.append(choice)
        remaining.remove(choice)
    return order


def combine(factors: Sequence[Factor], choice: int, operation: np.ufunc) -> Factor:
    """All factors that mention `choice` as one, with `choice` as the last axis."""
    involved = [(columns, table) for columns, table in factors if choice in columns]
    union = sorted({column for columns, _ in involved for column in columns} - {choice})
    union.append(choice)
    total: np.ndarray | None = None
    for columns, table in involved:
        order = sorted(range(len(columns)), key=lambda axis: union.index(columns[axis]))
        sizes = dict(zip(columns, table.shape, strict=True))
        spread = table.transpose(order).reshape([sizes.get(column, 1) for column in union])
        total = spread if total is None else operation(total, spread)
    assert total is not None
    return tuple(union), total


def count(factors: Sequence[Factor]) -> int:
    """How many assignments all factors (arrays of 0 and 1) allow."""
    remaining = list(factors)
    for choice in elimination_order(remaining):
        involved = [f for f in remaining if choice in f[0]]
        most = math.prod(int(table.max()) for _, table in involved) * involved[0][1].size
        if most >= MACHINE_INTEGER:
            involved = [(columns, table.astype(object)) for columns, table in involved]
        columns, table = combine(involved, choice, np.multiply)
        remaining = [f for f in remaining if choice not in f[0]]
        remaining.append((columns[:-1], np.asarray(table.sum(axis=-1))))
    total = 1
    for _, table in remaining:
        total *= int(table.item())
    return total
