"""How far predicted latencies are from measured ones, of networks that a fit has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.latency._rows import Row
from nas.latency._slopes import SHARED_RIDGE, regression
from search_spaces import SearchSpace

FOLDS = 3
"""Networks are dealt to so many sets; each is predicted by a fit to all rows but its own set."""

Predicts = Callable[[Sequence[Row], Sequence[Row]], np.ndarray]
"""From rows milliseconds of other ones, which are networks."""


@dataclass(frozen=True)
class HeldOut:
    """Error on networks, each predicted by a fit that has not seen it.

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


def unseen(rows: Sequence[Row], predicts: Predicts) -> np.ndarray:
    """Milliseconds of all networks of the rows, each by a fit that has not seen it, in their order.

    Args:
        rows: Timed files.
        predicts: Fits and predicts.
    """
    whole = networks_of(rows)
    predicted_N = np.zeros(len(whole))
    for fold in range(min(FOLDS, len(whole))):
        held_out = whole[fold::FOLDS]
        names = {row.name for row in held_out}
        predicted_N[fold::FOLDS] = predicts(
            [row for row in rows if row.name not in names], held_out
        )
    return predicted_N


def networks_of(rows: Sequence[Row]) -> list[Row]:
    """Those that are whole networks."""
    return [row for row in rows if row.encoding is not None]


def by_macs(space: SearchSpace, rows: Sequence[Row], networks: Sequence[Row]) -> np.ndarray:
    """Milliseconds of networks by multiply-adds alone: a line through those of the rows.

    It is fitted to relative errors and does not fall, as the model is.
    """
    timed = networks_of(rows)
    ms_N = np.array([row.latency_ms for row in timed])
    columns = [1.0 / ms_N, _millions(space, timed) / ms_N]
    call_ms, slope_ms = regression(columns, np.zeros(2), SHARED_RIDGE)
    predicted_N: np.ndarray = call_ms + slope_ms * _millions(space, networks)
    return predicted_N


def _millions(space: SearchSpace, networks: Sequence[Row]) -> np.ndarray:
    assert space.costs is not None
    macs_N: np.ndarray = space.costs.of("macs", np.array([row.encoding for row in networks])) / 1e6
    return macs_N


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
