"""A latency model of a target: sums over slots, corrected by what networks add.

Step 1, per kind of slot (operator, precision, shifted or not): the time of a single slot is a
non-negative combination of its kernels' count, multiply-adds (dense, depthwise, attention) and
activation values written.
Step 2, on whole networks: each kind of slot is scaled, and two terms say what sums miss (measured
on onnxruntime: mixed precision is not additive): the number of changes of precision, and fp32
convolutions in a network that also has integer ones (they lose their blocked layout). The
correction is a bounded ridge regression towards "the plain sum", because a handful of networks has
to determine it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear, nnls
from scipy.stats import kendalltau

from nas.latency._rows import OVERHEAD, Row
from search_spaces import Additive, SearchSpace, Signature, signature_cost

FEATURES = ("calls", "dense", "depthwise", "attention", "elements")
CONVOLUTIONS = frozenset({"stem", "downsample", "mbconv", "convnext", "inception", "moat"})
CONTEXT = ("changes", "fp32_conv_if_mixed")
LOWEST_SCALE, HIGHEST_SCALE = 0.3, 3.0
RIDGE = 0.3
"""Weight of the prior, in squared relative errors per network."""

LEAST_OWN_SHARE = 0.2
"""A slot alone takes at least this share of its time for itself, the rest being the call's."""


@dataclass(frozen=True)
class HeldOut:
    """Error on networks that the fit has not seen.

    Attributes:
        networks: How many.
        mape: Mean absolute relative error, a fraction.
        kendall_tau: Rank correlation of predicted and measured latency.
        max_error: Largest absolute relative error, a fraction.
    """

    networks: int
    mape: float
    kendall_tau: float
    max_error: float


class LatencyModel:
    """Predicts `latency_ms` of any candidate of a space.

    Args:
        space: With its policy choices.
        slopes: Kind of slot -> milliseconds per unit of each of `FEATURES`.
        scales: Kind of slot or context term -> factor.
    """

    metrics = ("latency_ms",)

    def __init__(
        self,
        space: SearchSpace,
        slopes: Mapping[str, Sequence[float]],
        scales: Mapping[str, float],
    ) -> None:
        assert space.tables is not None
        self.space = space
        self.slopes = {name: tuple(values) for name, values in slopes.items()}
        self.scales = dict(scales)
        self.kinds = tuple(sorted(self.slopes))
        sums = (*self.kinds, "integer", "fp32_conv")
        self._sums = Additive(space.tables, self._slot_terms, sums)

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """Predicted milliseconds of every encoding, shape (N,)."""
        assert metric == "latency_ms", metric
        factors = np.array([self.scales[name] for name in self.terms])
        predicted_N: np.ndarray = self.values(encodings_NC) @ factors
        return predicted_N

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the columns of `values`."""
        return (*self.kinds, *CONTEXT)

    def values(self, encodings_NC: np.ndarray) -> np.ndarray:
        """The terms of every encoding before scaling: milliseconds or counts; shape (N, T)."""
        encodings_NC = np.asarray(encodings_NC)
        columns = [self._sums.of(kind, encodings_NC) for kind in self.kinds]
        formats_NS = encodings_NC[:, self._precision_columns]
        changes_N = (formats_NS[:, 1:] != formats_NS[:, :-1]).sum(axis=1)
        is_mixed_N = self._sums.of("integer", encodings_NC) > 0
        conv_N = self._sums.of("fp32_conv", encodings_NC)
        return np.stack([*columns, changes_N, conv_N * is_mixed_N], axis=1)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs besides the space."""
        return {"slopes": self.slopes, "scales": self.scales}

    @staticmethod
    def from_json(document: Mapping[str, Any], space: SearchSpace) -> "LatencyModel":
        """The inverse of `to_json`."""
        model = LatencyModel(space, document["slopes"], document["scales"])
        model.of("latency_ms", np.zeros((1, len(space.choices)), int))  # what is wrong shows now
        return model

    @cached_property
    def _precision_columns(self) -> list[int]:
        return self.space.columns("precision")

    def _slot_terms(self, signature: Signature) -> dict[str, float]:
        """One slot's part of the sums."""
        own = kind_of(signature)
        time_ms = float(features(signature) @ np.array(self.slopes[own]))
        terms = dict.fromkeys(self.kinds, 0.0) | {own: time_ms}
        is_fp32 = signature.precision == "fp32"
        is_conv = signature.operator in CONVOLUTIONS
        terms["integer"] = float(not is_fp32)
        terms["fp32_conv"] = time_ms if is_fp32 and is_conv else 0.0
        return terms


def fit(space: SearchSpace, rows: Sequence[Row]) -> tuple[LatencyModel, HeldOut]:
    """The model of the rows that are not held out, and its error on those that are.

    Args:
        space: With its policy choices.
        rows: At one speed.
    """
    slopes = _fit_slopes(space, rows)
    prior = dict.fromkeys(slopes, 1.0) | dict.fromkeys(CONTEXT, 0.0)
    plain = LatencyModel(space, slopes, prior)
    networks = [row for row in rows if row.encoding is not None and not row.is_held_out]
    values_NT = plain.values(np.array([row.encoding for row in networks]))
    measured_N = np.array([row.latency_ms for row in networks])
    scales = _fit_scales(values_NT, measured_N, len(CONTEXT))
    model = LatencyModel(space, slopes, dict(zip(plain.terms, scales.tolist(), strict=True)))
    return model, held_out_error(model, [row for row in rows if row.is_held_out])


def held_out_error(model: LatencyModel, rows: Sequence[Row]) -> HeldOut:
    """How well the model predicts these networks."""
    measured_N = np.array([row.latency_ms for row in rows])
    predicted_N = model.of("latency_ms", np.array([row.encoding for row in rows]))
    error_N = np.abs(predicted_N / measured_N - 1)
    tau = float(kendalltau(predicted_N, measured_N).statistic)
    return HeldOut(len(rows), float(error_N.mean()), tau, float(error_N.max()))


def kind_of(signature: Signature) -> str:
    """Slots whose times share one set of slopes: "window shifted int8"."""
    is_shifted = "shift" in signature.pick and signature.pick.number("shift") > 0
    words = (signature.operator, "shifted" if is_shifted else "", signature.precision)
    return " ".join(word for word in words if word)


def features(signature: Signature) -> np.ndarray:
    """`FEATURES` of one slot, shape (5,), in units near 1: calls, millions."""
    cost = signature_cost(signature)
    millions = (cost.dense, cost.depthwise, cost.attention, cost.elements)
    return np.array([cost.calls, *(value / 1e6 for value in millions)], float)


def _fit_slopes(space: SearchSpace, rows: Sequence[Row]) -> dict[str, tuple[float, ...]]:
    """Non-negative least squares of relative errors, per kind of slot, less the call's overhead.

    Kinds without a row of their own borrow the slopes of all rows of their precision.
    """
    assert space.tables is not None
    overhead_ms = next((row.latency_ms for row in rows if row.name == OVERHEAD), 0.0)
    timed = [
        (row.slot.signature, max(row.latency_ms - overhead_ms, LEAST_OWN_SHARE * row.latency_ms))
        for row in rows
        if row.slot is not None
    ]
    signatures = [s for s in space.tables.signatures if s is not None]
    precision_of = {kind_of(s): s.precision for s in signatures}
    slopes = {}
    for kind, precision in sorted(precision_of.items()):
        own = [(s, ms) for s, ms in timed if kind_of(s) == kind]
        same_precision = [(s, ms) for s, ms in timed if s.precision == precision]
        used = own or same_precision or timed
        design = np.stack([features(s) / ms for s, ms in used])
        solution, _ = nnls(design, np.ones(len(used)))
        slopes[kind] = tuple(float(value) for value in solution)
    return slopes


def _fit_scales(values_NT: np.ndarray, measured_N: np.ndarray, num_context: int) -> np.ndarray:
    """Ridge regression of relative errors towards 1 (slots) and 0 (context), within bounds.

    The ridge is in units of each term's mean share of the latency, so that rare terms stay at
    their prior.
    """
    num_slots = values_NT.shape[1] - num_context
    prior_T = np.array([1.0] * num_slots + [0.0] * num_context)
    lowest_T = np.array([LOWEST_SCALE] * num_slots + [0.0] * num_context)
    highest_T = np.array([HIGHEST_SCALE] * num_slots + [np.inf] * num_context)
    design = values_NT / measured_N[:, None]
    size_T = np.maximum(design.mean(axis=0), 1e-6)
    ridge = np.sqrt(RIDGE * len(measured_N)) * np.diag(size_T)
    stacked = np.concatenate([design, ridge])
    wanted = np.concatenate([np.ones(len(measured_N)), ridge @ prior_T])
    solution: np.ndarray = lsq_linear(stacked, wanted, bounds=(lowest_T, highest_T)).x
    return solution
