"""The latency model of timed files: slopes first, then what they miss."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from nas.latency._corrections import Timed, fit_corrections
from nas.latency._error import unseen
from nas.latency._model import Coefficients, LatencyModel
from nas.latency._rows import OVERHEAD, Row
from nas.latency._slopes import fit_slopes
from search_spaces import SearchSpace, format_of


def fit(space: SearchSpace, rows: Sequence[Row], target: str) -> tuple[LatencyModel, np.ndarray]:
    """The model of all rows, and what fits without them say of the networks among them.

    Args:
        space: With its policy choices.
        rows: At one speed.
        target: On which they were timed, with its options.

    Returns:
        The model, and milliseconds of the networks in their order, (N,).
    """
    model = LatencyModel(space, target, coefficients_of(space, target, rows))
    return model, unseen(rows, partial(by_fit, space, target))


def by_fit(
    space: SearchSpace, target: str, rows: Sequence[Row], networks: Sequence[Row]
) -> np.ndarray:
    """Milliseconds of networks by a fit to the rows."""
    return said(space, target, coefficients_of(space, target, rows), networks)


def coefficients_of(space: SearchSpace, target: str, rows: Sequence[Row]) -> Coefficients:
    """Slopes and corrections of all rows."""
    plain = fit_slopes(space, rows, target)
    timed = [row for row in rows if row.name != OVERHEAD]
    said_R = said(space, target, plain, timed)
    files = [
        Timed(
            slots=row.slots(space),
            own_ms=row.own_ms(plain.overhead_ms),
            missed_ms=row.own_ms(plain.overhead_ms) + plain.overhead_ms - ms,
            is_whole=row.encoding is not None,
        )
        for row, ms in zip(timed, said_R.tolist(), strict=True)
    ]
    return replace(plain, corrections=fit_corrections(files, plain.slopes))


def said(
    space: SearchSpace, target: str, coefficients: Coefficients, rows: Sequence[Row]
) -> np.ndarray:
    """Milliseconds of rows, slots timed alone among them, (R,)."""
    slots_of = [row.slots(space) for row in rows]
    own_S, if_mixed_S = coefficients.slots_ms([slot for slots in slots_of for slot in slots])
    said_R, start = np.zeros(len(rows)), 0
    for number, (row, slots) in enumerate(zip(rows, slots_of, strict=True)):
        part = slice(start, start := start + len(slots))
        is_mixed = any(format_of(slot.signature.precision).is_integer for slot in slots)
        said_R[number] = own_S[part].sum() + if_mixed_S[part].sum() * is_mixed
        if row.encoding is None:
            said_R[number] += coefficients.overhead_ms
        else:
            said_R[number] += coefficients.around_ms(space, target, np.array([row.encoding]))[0]
    return said_R
