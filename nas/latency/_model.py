"""A latency model of a target: the call, a sum over slots, and what networks add to it.

The time of a slot, with the joining of what feeds it, is a non-negative combination of its kernels'
count, multiply-adds (dense, depthwise, attention) and activation values written, with slopes of its
own per kind of slot (operator, precision, shifted or not). Two terms say what sums miss (measured
on onnxruntime: mixed precision is not additive): the number of changes of precision, and
floating-point convolutions in a network that also has integer ones, which lose their blocked
layout. A target names further ones (`AbstractTarget.context_terms`).

One regression of relative errors over single slots and whole networks finds all of it. Most kinds
have a handful of rows, so their slopes are drawn towards those that all rows of their precision
share (ridge; docs/decisions/0019).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.latency._rows import OVERHEAD, Row, kind_of
from nas.targets import choose
from search_spaces import (
    Additive,
    SearchSpace,
    Signature,
    Slot,
    declaration,
    format_of,
    slot_cost,
)

FEATURES = ("calls", "dense", "depthwise", "attention", "elements")
RIDGE = 3.0
"""Weight of the shared slopes: as much as this many rows of a kind's own."""

SHARED_RIDGE = 1e-3
"""Draws the shared slopes to zero: only where rows do not determine them."""

LEAST_OWN_SHARE = 0.2
"""A file takes at least this share of its time for itself, the rest being the call's."""


@dataclass(frozen=True)
class HeldOut:
    """Error on networks that the fit has not seen.

    Attributes:
        networks: How many.
        mape: Mean absolute relative error, a fraction.
        kendall_tau: Rank correlation of predicted and measured latency.
        max_error: Largest absolute relative error, a fraction.
        within_5: Share of networks whose error is at most 5 %.
        within_10: Share of networks whose error is at most 10 %.
    """

    networks: int
    mape: float
    kendall_tau: float
    max_error: float
    within_5: float
    within_10: float


class LatencyModel:
    """Predicts `latency_ms` of any candidate of a space.

    Args:
        space: With its policy choices.
        target: Whose latency it is, with its options.
        slopes: Kind of slot -> milliseconds per unit of each of `FEATURES`.
        mixed_slopes: The same for floating-point convolutions, in addition, beside integer ones.
        change_ms: Milliseconds per change of precision.
        overhead_ms: Milliseconds that calling the runtime takes by itself.
        context_ms: Milliseconds per unit of each of the target's own terms, by name.
    """

    metrics = ("latency_ms",)

    def __init__(
        self,
        space: SearchSpace,
        *,
        target: str,
        slopes: Mapping[str, Sequence[float]],
        mixed_slopes: Sequence[float],
        change_ms: float,
        overhead_ms: float,
        context_ms: Mapping[str, float],
    ) -> None:
        assert space.tables is not None
        self.space, self.target = space, target
        self.slopes = {name: tuple(values) for name, values in slopes.items()}
        self.mixed_slopes = tuple(mixed_slopes)
        self.change_ms, self.overhead_ms = change_ms, overhead_ms
        terms = choose(target).target.context_terms
        self.context_ms = {name: context_ms.get(name, 0.0) for name in terms}
        self._sums = Additive(space.tables, self._slot_terms, ("own", "integer", "if_mixed"))

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """Predicted milliseconds of every encoding, shape (N,)."""
        assert metric == "latency_ms", metric
        encodings_NC = np.asarray(encodings_NC)
        own_N, integer_N, if_mixed_N = (
            self._sums.of(name, encodings_NC) for name in self._sums.metrics
        )
        slots_N = own_N + if_mixed_N * (integer_N > 0)
        predicted_N: np.ndarray = self.overhead_ms + slots_N
        context_TN = _context(self.space, self.target, encodings_NC)
        context_ms = (self.change_ms, *self.context_ms.values())
        for ms, units_N in zip(context_ms, context_TN, strict=True):
            predicted_N = predicted_N + ms * units_N
        return predicted_N

    def least(self, fixed: Mapping[int, int]) -> float:
        """Milliseconds that no network with these options is predicted to fall below.

        Exact but for what mixing precisions and the target's own terms cost, which is left out.

        Args:
            fixed: Option indices, by index of the choice.
        """
        return self.overhead_ms + self._sums.minimum("own", fixed)[0]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs besides the space."""
        return {
            "target": self.target,
            "slopes": self.slopes,
            "mixed_slopes": self.mixed_slopes,
            "change_ms": self.change_ms,
            "overhead_ms": self.overhead_ms,
            "context_ms": self.context_ms,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any], space: SearchSpace) -> "LatencyModel":
        """The inverse of `to_json`; what a document does not say of a term is 0."""
        names = ("target", "slopes", "mixed_slopes", "change_ms", "overhead_ms")
        known = {name: document[name] for name in names}
        model = LatencyModel(space, **known, context_ms=document.get("context_ms", {}))
        predicted = model.of("latency_ms", np.zeros((1, len(space.choices)), int))
        if predicted.shape != (1,):  # lists where numbers belong
            raise ValueError(f"of one network it predicts latencies of shape {predicted.shape}")
        return model

    def _slot_terms(self, slot: Slot) -> dict[str, float]:
        """One slot's part of the sums."""
        values_F, signature = features(slot), slot.signature
        return {
            "own": float(values_F @ np.array(self.slopes[kind_of(signature)])),
            "integer": float(format_of(signature.precision).is_integer),
            "if_mixed": float(values_F @ np.array(self.mixed_slopes)) * _is_float_conv(signature),
        }


def fit(space: SearchSpace, rows: Sequence[Row], target: str) -> tuple[LatencyModel, HeldOut]:
    """The model of the rows that are not held out, and its error on those that are.

    Args:
        space: With its policy choices.
        rows: At one speed.
        target: On which they were timed, with its options.
    """
    assert space.tables is not None
    precisions = {kind_of(s): s.precision for s in space.tables.signatures if s is not None}
    kinds = sorted(precisions)
    rows_seen = [row for row in rows if row.name != OVERHEAD and not row.is_held_out]
    overhead_ms = next((row.latency_ms for row in rows if row.name == OVERHEAD), 0.0)
    design_RKF, if_mixed_RF, context_TR = _design(space, kinds, rows_seen, overhead_ms, target)

    shared = sorted(set(precisions.values()))
    membership_PK = np.array([[precisions[kind] == p for kind in kinds] for p in shared], float)
    pooled_RPF = np.einsum("rkf,pk->rpf", design_RKF, membership_PK)
    columns = [*pooled_RPF.reshape(len(rows_seen), -1).T, *context_TR]
    found = _regression(columns, np.zeros(len(columns)), SHARED_RIDGE)
    flat, shared_context_T = np.split(found, [-len(context_TR)])
    shared_PF = np.reshape(flat, (len(shared), len(FEATURES)))

    float_PF = shared_PF[[not format_of(name).is_integer for name in shared]]
    float_F = float_PF.mean(axis=0) if len(float_PF) else np.zeros(len(FEATURES))
    columns = [*design_RKF.reshape(len(rows_seen), -1).T, if_mixed_RF @ float_F, *context_TR]
    prior = [*(membership_PK.T @ shared_PF).ravel(), 0.0, *shared_context_T]
    found = _regression(columns, prior, RIDGE)
    flat, (mixed, change_ms, *own_ms) = np.split(found, [len(kinds) * len(FEATURES)])
    slopes_KF = np.reshape(flat, (len(kinds), len(FEATURES)))
    model = LatencyModel(
        space,
        target=target,
        slopes=dict(zip(kinds, slopes_KF.tolist(), strict=True)),
        mixed_slopes=(mixed * float_F).tolist(),
        change_ms=float(change_ms),
        overhead_ms=overhead_ms,
        context_ms=dict(zip(choose(target).target.context_terms, map(float, own_ms), strict=True)),
    )
    return model, held_out_error(model, [row for row in rows if row.is_held_out])


def held_out_error(model: LatencyModel, rows: Sequence[Row]) -> HeldOut:
    """How well the model predicts these networks."""
    predicted_N = model.of("latency_ms", np.array([row.encoding for row in rows]))
    return error_of(predicted_N, rows)


def error_by_macs(space: SearchSpace, rows: Sequence[Row]) -> HeldOut:
    """How well multiply-adds alone predict the networks held out: a line through the others.

    It is fitted to relative errors and does not fall, as the model is.
    """
    assert space.costs is not None
    whole = [row for row in rows if row.encoding is not None]
    macs_N = space.costs.of("macs", np.array([row.encoding for row in whole])) / 1e6
    is_seen_N = np.array([not row.is_held_out for row in whole])
    ms_N = np.array([row.latency_ms for row in whole])
    columns = [1.0 / ms_N[is_seen_N], macs_N[is_seen_N] / ms_N[is_seen_N]]
    call_ms, slope_ms = _regression(columns, np.zeros(2), SHARED_RIDGE)
    held_out = [row for row in whole if row.is_held_out]
    return error_of(call_ms + slope_ms * macs_N[~is_seen_N], held_out)


def error_of(predicted_N: np.ndarray, rows: Sequence[Row]) -> HeldOut:
    """How far predictions of these networks are from what was measured."""
    from scipy.stats import kendalltau  # takes longer to import than to use

    measured_N = np.array([row.latency_ms for row in rows])
    error_N = np.abs(predicted_N / measured_N - 1)
    return HeldOut(
        networks=len(rows),
        mape=float(error_N.mean()),
        kendall_tau=float(kendalltau(predicted_N, measured_N).statistic),
        max_error=float(error_N.max()),
        within_5=float((error_N <= 0.05).mean()),
        within_10=float((error_N <= 0.10).mean()),
    )


def features(slot: Slot) -> np.ndarray:
    """`FEATURES` of one slot, shape (5,), in units near 1: calls, millions."""
    cost = slot_cost(slot)
    millions = (cost.dense, cost.depthwise, cost.attention, cost.elements)
    return np.array([cost.calls, *(value / 1e6 for value in millions)], float)


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
        own_ms = max(row.latency_ms - overhead_ms, LEAST_OWN_SHARE * row.latency_ms)
        slots = space.slots(row.encoding) if row.encoding else [row.slot] if row.slot else []
        if row.encoding:
            encoding = np.array([row.encoding])
            context_TR[:, number] = _context(space, target, encoding)[:, 0] / own_ms
        is_mixed = any(format_of(slot.signature.precision).is_integer for slot in slots)
        for slot in slots:
            share_F, signature = features(slot) / own_ms, slot.signature
            design_RKF[number, kinds.index(kind_of(signature))] += share_F
            if_mixed_RF[number] += share_F * (is_mixed and _is_float_conv(signature))
    return design_RKF, if_mixed_RF, context_TR


def _context(space: SearchSpace, target: str, encodings_NC: np.ndarray) -> np.ndarray:
    """Changes of precision and the target's own terms of every encoding, (T, N)."""
    formats_NS = encodings_NC[:, space.columns("precision")]
    changes_N = (formats_NS[:, 1:] != formats_NS[:, :-1]).sum(axis=1)
    terms = choose(target).target.context_terms.values()
    own = [term(space, encodings_NC) for term in terms]
    return np.array([changes_N, *own], float)


def _regression(
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


def _is_float_conv(signature: Signature) -> bool:
    is_convolution = "convolution" in declaration(signature.operator).mixing
    return is_convolution and not format_of(signature.precision).is_integer
