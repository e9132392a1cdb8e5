"""Slopes of all kinds of slots, and what networks add to sums: one regression.

It is of relative errors, over single slots and whole networks. Most kinds have a handful of rows,
so their slopes are drawn towards those that all rows of their precision share (ridge;
docs/decisions/0019).
"""

from collections.abc import Sequence

import numpy as np

from nas.latency._features import FEATURES, context_units, features, is_float_conv
from nas.latency._model import Coefficients
from nas.latency._rows import OVERHEAD, Row, kind_of, overhead_of
from nas.targets import choose
from search_spaces import SearchSpace, format_of

RIDGE = 12.0
"""Weight of the shared slopes: as much as this many rows of a kind's own."""

SHARED_RIDGE = 1e-3
"""Draws the shared slopes to zero: only where rows do not determine them."""


def fit_slopes(space: SearchSpace, rows: Sequence[Row], target: str) -> Coefficients:
    """Coefficients without corrections.

    Args:
        space: With its policy choices.
        rows: At one speed.
        target: On which they were timed, with its options.
    """
    assert space.tables is not None
    precisions = {kind_of(s): s.precision for s in space.tables.signatures if s is not None}
    kinds = sorted(precisions)
    overhead_ms = overhead_of(rows)
    rows = [row for row in rows if row.name != OVERHEAD]
    design_RKF, if_mixed_RF, context_TR = _design(space, kinds, rows, overhead_ms, target)

    shared = sorted(set(precisions.values()))
    membership_PK = np.array([[precisions[kind] == p for kind in kinds] for p in shared], float)
    pooled_RPF = np.einsum("rkf,pk->rpf", design_RKF, membership_PK)
    columns = [*pooled_RPF.reshape(len(rows), -1).T, *context_TR]
    found = regression(columns, np.zeros(len(columns)), SHARED_RIDGE)
    flat, shared_context_T = np.split(found, [-len(context_TR)])
    shared_PF = np.reshape(flat, (len(shared), len(FEATURES)))

    float_PF = shared_PF[[not format_of(name).is_integer for name in shared]]
    float_F = float_PF.mean(axis=0) if len(float_PF) else np.zeros(len(FEATURES))
    columns = [*design_RKF.reshape(len(rows), -1).T, if_mixed_RF @ float_F, *context_TR]
    prior = [*(membership_PK.T @ shared_PF).ravel(), 0.0, *shared_context_T]
    found = regression(columns, prior, RIDGE)
    flat, (mixed, change_ms, *own_ms) = np.split(found, [len(kinds) * len(FEATURES)])
    slopes_KF = np.reshape(flat, (len(kinds), len(FEATURES)))
    return Coefficients(
        slopes=dict(zip(kinds, slopes_KF.tolist(), strict=True)),
        mixed_slopes=(mixed * float_F).tolist(),
        change_ms=float(change_ms),
        overhead_ms=overhead_ms,
        context_ms=dict(zip(choose(target).target.context_terms, map(float, own_ms), strict=True)),
    )


def regression(
    columns: Sequence[np.ndarray], prior: Sequence[float] | np.ndarray, ridge: float
) -> np.ndarray:
    """Non-negative factors with which the columns add up to 1 in every row, near the prior.

    The ridge is in units of a column's mean over the rows that have it: it weighs as much as that
    many rows. Where no row has a column, its factor is the prior's.
    """
    from scipy.optimize import nnls

    design_RT = np.stack(columns, axis=1)
    num_T = (design_RT > 0).sum(axis=0)
    size_T = np.where(num_T > 0, design_RT.sum(axis=0) / np.maximum(num_T, 1), 1.0)
    ridge_TT = np.sqrt(ridge) * np.diag(size_T)
    stacked = np.concatenate([design_RT, ridge_TT])
    wanted = np.concatenate([np.ones(len(design_RT)), ridge_TT @ np.asarray(prior)])
    solution: np.ndarray = nnls(stacked, wanted, maxiter=100 * len(columns))[0]
    return solution


def _design(
    space: SearchSpace, kinds: Sequence[str], rows: Sequence[Row], overhead_ms: float, target: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each row consists of, as shares of its time less the call's overhead.

    Returns:
        Features per kind, shape (R, K, F); those of floating-point convolutions beside integer
        ones, (R, F); context, (T, R), none of single slots.
    """
    design_RKF = np.zeros((len(rows), len(kinds), len(FEATURES)))
    if_mixed_RF = np.zeros((len(rows), len(FEATURES)))
    context_TR = np.zeros((1 + len(choose(target).target.context_terms), len(rows)))
    for number, row in enumerate(rows):
        own_ms, slots = row.own_ms(overhead_ms), row.slots(space)
        if row.encoding:
            encoding = np.array([row.encoding])
            context_TR[:, number] = context_units(space, target, encoding)[:, 0] / own_ms
        is_mixed = any(format_of(slot.signature.precision).is_integer for slot in slots)
        for slot in slots:
            share_F, signature = features(slot) / own_ms, slot.signature
            design_RKF[number, kinds.index(kind_of(signature))] += share_F
            if_mixed_RF[number] += share_F * (is_mixed and is_float_conv(signature))
    return design_RKF, if_mixed_RF, context_TR
