"""A latency model of a target: sums over slots, corrected by what networks add.

Step 1, per operator and precision: the time of a single slot is a non-negative combination of its
kernels' count, multiply-adds (dense, depthwise, attention) and activation values written.
Step 2, on whole networks: slots in fp32 and slots in integers are scaled, and three terms say what
sums miss (measured on onnxruntime: mixed precision is not additive): the number of changes of
precision, fp32 convolutions in a network that also has integer ones (they lose their blocked
layout), and the overhead that each slot pays alone but not inside a network. The correction is a
ridge regression towards "the plain sum", because a handful of networks has to determine it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.stats import kendalltau

from nas.latency._rows import Row
from search_spaces import Additive, SearchSpace, Signature, signature_cost

FEATURES = ("calls", "dense", "depthwise", "attention", "elements")
CONVOLUTIONS = frozenset({"stem", "downsample", "mbconv", "convnext"})
TERMS = ("fp32", "integer", "slots", "changes", "fp32_conv_if_mixed")
PRIOR = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
RIDGE = 0.02
"""Weight of the prior, in squared relative errors per network."""

SCHEMA = 1


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
        slopes: "operator precision" -> milliseconds per unit of each of `FEATURES`.
        scales: Factor of each of `TERMS`.
    """

    metrics = ("latency_ms",)

    def __init__(
        self, space: SearchSpace, slopes: Mapping[str, Sequence[float]], scales: Sequence[float]
    ) -> None:
        assert space.tables is not None
        self.space = space
        self.slopes = {name: tuple(values) for name, values in slopes.items()}
        self.scales = np.asarray(scales, float)
        self._sums = Additive(space.tables, self._slot_terms, ("fp32", "integer", "slots", "conv"))

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """Predicted milliseconds of every encoding, shape (N,)."""
        assert metric == "latency_ms", metric
        predicted_N = self.terms(encodings_NC) @ self.scales
        return np.maximum(predicted_N, 1e-3)

    def terms(self, encodings_NC: np.ndarray) -> np.ndarray:
        """`TERMS` of every encoding: milliseconds, or counts; shape (N, 5)."""
        encodings_NC = np.asarray(encodings_NC)
        fp32, integer, slots, conv = (
            self._sums.of(name, encodings_NC) for name in self._sums.metrics
        )
        formats_NS = encodings_NC[:, self._precision_columns]
        changes = (formats_NS[:, 1:] != formats_NS[:, :-1]).sum(axis=1)
        return np.stack([fp32, integer, slots, changes, conv * (integer > 0)], axis=1)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` needs besides the space."""
        return {"slopes": self.slopes, "scales": self.scales.tolist()}

    @staticmethod
    def from_json(document: Mapping[str, Any], space: SearchSpace) -> "LatencyModel":
        """The inverse of `to_json`."""
        return LatencyModel(space, document["slopes"], document["scales"])

    @cached_property
    def _precision_columns(self) -> list[int]:
        return [i for i, c in enumerate(self.space.choices) if c.name.endswith(".precision")]

    def _slot_terms(self, signature: Signature) -> dict[str, float]:
        """One slot's part of the sums."""
        time_ms = float(features(signature) @ self.slopes[group(signature)])
        is_fp32 = signature.precision == "fp32"
        return {
            "fp32": time_ms if is_fp32 else 0.0,
            "integer": 0.0 if is_fp32 else time_ms,
            "slots": 1.0,
            "conv": time_ms if is_fp32 and signature.operator in CONVOLUTIONS else 0.0,
        }


def fit(space: SearchSpace, rows: Sequence[Row]) -> tuple[LatencyModel, HeldOut]:
    """The model of the rows that are not held out, and its error on those that are."""
    slopes = _fit_slopes(space, rows)
    plain = LatencyModel(space, slopes, PRIOR)
    networks = [row for row in rows if row.encoding is not None and not row.is_held_out]
    encodings_NC = np.array([row.encoding for row in networks])
    measured_N = np.array([row.latency_ms for row in networks])
    model = LatencyModel(space, slopes, _fit_scales(plain.terms(encodings_NC), measured_N))
    return model, held_out_error(model, [row for row in rows if row.is_held_out])


def held_out_error(model: LatencyModel, rows: Sequence[Row]) -> HeldOut:
    """How well the model predicts these networks."""
    measured_N = np.array([row.latency_ms for row in rows])
    predicted_N = model.of("latency_ms", np.array([row.encoding for row in rows]))
    error_N = np.abs(predicted_N / measured_N - 1)
    tau = float(kendalltau(predicted_N, measured_N).statistic)
    return HeldOut(len(rows), float(error_N.mean()), tau, float(error_N.max()))


def group(signature: Signature) -> str:
    """Slots whose times share one set of slopes."""
    return f"{signature.operator} {signature.precision}"


def features(signature: Signature) -> np.ndarray:
    """`FEATURES` of one slot, shape (5,), in units near 1: calls, millions."""
    cost = signature_cost(signature)
    millions = (cost.dense, cost.depthwise, cost.attention, cost.elements)
    return np.array([cost.calls, *(value / 1e6 for value in millions)], float)


def _fit_slopes(space: SearchSpace, rows: Sequence[Row]) -> dict[str, tuple[float, ...]]:
    """Non-negative least squares of relative errors, per operator and precision.

    Groups without a row of their own borrow the slopes of all rows of their precision.
    """
    assert space.tables is not None
    timed = [(row.slot.signature, row.latency_ms) for row in rows if row.slot is not None]
    slopes = {}
    for name in sorted({group(s) for s in space.tables.signatures if s is not None}):
        own = [(s, ms) for s, ms in timed if group(s) == name]
        same_precision = [(s, ms) for s, ms in timed if group(s).split()[1] == name.split()[1]]
        used = own or same_precision or timed
        design = np.stack([features(s) / ms for s, ms in used])
        solution, _ = nnls(design, np.ones(len(used)))
        slopes[name] = tuple(float(value) for value in solution)
    return slopes


def _fit_scales(terms_NT: np.ndarray, measured_N: np.ndarray) -> np.ndarray:
    """Ridge regression of relative errors towards `PRIOR`; terms are compared by their means."""
    design = terms_NT / measured_N[:, None]
    size_T = np.maximum(np.abs(design).mean(axis=0), 1e-9)
    scaled = design / size_T
    residual_N = 1.0 - design @ PRIOR
    normal = scaled.T @ scaled + RIDGE * len(measured_N) * np.eye(len(TERMS))
    return PRIOR + np.linalg.solve(normal, scaled.T @ residual_N) / size_T
