"""Whether compression pays on a target: what an option gains in whole networks and beside others.

Each format, sparsity, pattern and rank of a space is tried on networks of it, by the latency
profile and by what is counted exactly. An option of a stage that makes none of them faster,
smaller, or lower in another number that a limit is on, could only lose accuracy there. It is tried
among neighbours that stay as they were trained and among neighbours that have it, too, because
mixed networks are not the sum of their parts (`_model.py`).

A document has, per option: its dimension, what it is compared with, ratios (median, least and most)
of whole networks, the choices that are offered it and those that are not, and all of it in words.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from search_spaces import FULL_PRECISION, MIXED, Option, SearchSpace, is_policy, some_of

FILE = "pays.json"
SCHEMA = 1
NETWORKS = 48
"""On which options are tried."""

LEAST_GAIN = 0.01
"""Share of a number that is a gain of a whole network: latencies that are closer are a tie. Of one
stage an equal share of that is asked."""

TITLES = {"latency_ms": "latency", "size_bytes": "bytes"}


class Known(Protocol):
    """What is known of networks without an evaluation, as `nas.problem` has it."""

    def of(self, metric: str, encodings_NC: np.ndarray) -> np.ndarray:
        """The metric of every encoding, shape (N,)."""


def tried(
    space: SearchSpace,
    known: Known,
    rows_NC: np.ndarray,
    metrics: Sequence[str],
    *,
    drops: bool = True,
) -> dict[str, Any]:
    """What every option of compression gains.

    Args:
        space: With its policy choices.
        known: Has the metrics.
        rows_NC: Networks to try them on.
        metrics: In which a gain counts; lower is better.
        drops: Whether what gains nothing is left out.

    Returns:
        A document, JSON types.
    """
    columns: dict[str, list[int]] = {}
    for column, choice in enumerate(space.choices):
        if is_policy(choice.name):
            columns.setdefault(choice.name.rpartition(".")[2], []).append(column)
    options = []
    for dimension, of in columns.items():
        offered = list(dict.fromkeys(o for column in of for o in space.choices[column].options))
        base = FULL_PRECISION if FULL_PRECISION in offered else offered[0]
        options += [
            {
                "dimension": dimension,
                "option": option,
                "against": base,
                **_tried_one(space, known, rows_NC, metrics, of, option, base),
            }
            for option in offered
            if option != base
        ]
    for row in options:
        if not drops:
            row["offered"], row["dropped"] = [*row["offered"], *row["dropped"]], []
    return {"schema": SCHEMA, "networks": len(rows_NC), "metrics": [*metrics], "options": options}


def _tried_one(
    space: SearchSpace,
    known: Known,
    rows_NC: np.ndarray,
    metrics: Sequence[str],
    columns: Sequence[int],
    option: Option,
    base: Option,
) -> dict[str, Any]:
    """What an option gains against another one, in choices that have both."""
    both = {option, base}
    offering = [column for column in columns if both <= set(space.choices[column].options)]
    plain_NC = _with(space, rows_NC, columns, base)
    whole_NC = _with(space, plain_NC, offering, option)
    active_NC = space.is_active(plain_NC)
    least = LEAST_GAIN / max(1, len(offering))
    is_gain = {}
    for column in offering:
        alone_NC = _with(space, plain_NC, [column], option)
        beside_NC = whole_NC.copy()
        beside_NC[:, column] = plain_NC[:, column]
        here_N = active_NC[:, column]
        ratios_MN = np.concatenate(
            [
                _ratios(known, metrics, alone_NC[here_N], plain_NC[here_N]),
                _ratios(known, metrics, whole_NC[here_N], beside_NC[here_N]),
            ]
        )
        # What no network has was not tried.
        is_gain[column] = not here_N.any() or bool((ratios_MN <= 1.0 - least).any())
    whole = _ratios(known, metrics, whole_NC, plain_NC)
    return {
        "ratios": {
            metric: [round(float(f(ratios_N)), 4) for f in (np.median, np.min, np.max)]
            for metric, ratios_N in zip(metrics, whole, strict=True)
        },
        "offered": [space.choices[column].name for column in offering if is_gain[column]],
        "dropped": [space.choices[column].name for column in offering if not is_gain[column]],
    }


def _with(
    space: SearchSpace, rows_NC: np.ndarray, columns: Sequence[int], option: Option
) -> np.ndarray:
    """Copies of encodings with an option of those choices that have it."""
    rows_NC = np.array(rows_NC)
    for column in columns:
        options = space.choices[column].options
        if option in options:
            rows_NC[:, column] = options.index(option)
    return rows_NC


def _ratios(
    known: Known, metrics: Sequence[str], changed_NC: np.ndarray, plain_NC: np.ndarray
) -> np.ndarray:
    """Of every metric, shape (M, N)."""
    return np.stack([known.of(m, changed_NC) / known.of(m, plain_NC) for m in metrics])


def paying(space: SearchSpace, document: Mapping[str, Any]) -> SearchSpace:
    """The space, or a part of it, without the options that gain nothing."""
    left = {choice.name: list(choice.options) for choice in space.choices}
    for row in document["options"]:
        for name in row["dropped"]:
            if row["option"] in left.get(name, ()) and len(left[name]) > 1:
                left[name].remove(row["option"])
    return space.restricted(left)


def mixed_error(profile: Mapping[str, Any]) -> dict[str, Any]:
    """How far a profile predicts networks of several formats, beside those of one.

    Args:
        profile: The document of a latency profile.

    Returns:
        By "mixed" and "uniform" the number of networks and their mean relative error; {} where the
        profile has not timed both.
    """
    errors: dict[str, list[float]] = {"mixed": [], "uniform": []}
    for row in profile.get("rows", ()):
        if "precision" in row:
            kind = "mixed" if row["precision"] == MIXED else "uniform"
            errors[kind].append(abs(row["predicted_ms"] / row["measured_ms"] - 1.0))
    if not all(errors.values()):
        return {}
    return {
        kind: {"networks": len(of), "mape": round(statistics.fmean(of), 4)}
        for kind, of in errors.items()
    }


def with_words(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document and `said`: what people read of each option, and of mixed formats."""
    found = [
        (f"{row['dimension']} {row['option']} against {row['against']}", _said(row))
        for row in document["options"]
    ]
    mixed, uniform = document.get("mixed"), document.get("uniform")
    if mixed and uniform:
        text = (
            f"predicted with a mean error of {mixed['mape']:.1%} ({_networks(mixed)}), one format "
            f"with {uniform['mape']:.1%} ({_networks(uniform)})"
        )
        found.append(("several formats in one network", text))
    return {**document, "said": [{"what": what, "found": text} for what, text in found]}


def said_of(document: Mapping[str, Any], target: str) -> list[str]:
    """The table as lines for people."""
    rows = document["said"]
    if not rows:
        return []
    width = max(len(row["what"]) for row in rows)
    head = (
        f"does it pay on '{target}'? {document['networks']} networks within the limits, whole, as "
        "predicted: times what they are without it"
    )
    return [head, *(f"  {row['what']:{width}}  {row['found']}" for row in rows)]


def _said(row: Mapping[str, Any]) -> str:
    numbers = []
    for metric, (median, least, most) in row["ratios"].items():
        span = "" if least == most else f" ({least:.2f} to {most:.2f})"
        numbers.append(f"{TITLES.get(metric, metric)} {median:.2f}{span}")
    return f"{', '.join(numbers)}; {_offered(row)}"


def _offered(row: Mapping[str, Any]) -> str:
    dropped = [name.rpartition(".")[0] for name in row["dropped"]]
    if not dropped:
        return "offered"
    why = "it makes no network faster or smaller"
    if not row["offered"]:
        return f"not offered: {why}"
    return f"offered, but not in {some_of(dropped)}: {why} there"


def _networks(error: Mapping[str, Any]) -> str:
    return f"{error['networks']} network{'s' * (error['networks'] != 1)}"
