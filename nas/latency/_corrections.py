"""What slopes miss of a slot's time, learned from files that have slots like it.

A slot takes what its kind's slopes say times one plus a correction, and slots of a kind whose sizes
are alike have like corrections: a Gaussian process over slots. A whole network is an observation of
a sum of them. In networks slots may cost more or less than alone: all by one factor, and those of a
kind by an amount per value that they take and hand on, because neighbours spare or need changes of
layout. All of it is Gaussian with spreads that are fixed here, so one linear system with a row per
file yields every correction, and a network's time remains a sum over its slots.

Source: Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), equations 2.25 and
2.27. Departures: files observe sums; spreads are not fitted, since profiles of minutes have few
files (docs/decisions/0074).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.latency._features import coordinates, features, handed_over
from nas.latency._rows import kind_of
from search_spaces import Slot

LIKE = 0.15
"""Standard deviation of corrections that slots of like sizes share, a fraction."""

REACH = 3.0
"""How far apart sizes may be that are still alike: doublings."""

IN_NETWORKS = 0.05
"""Of the factor by which slots in networks differ from slots alone."""

HANDING = 0.03
"""Of what a value costs that is handed over, in shares of what networks take per value handed."""

NOISE_ALONE, NOISE_WHOLE = 0.05, 0.03
"""Of a measurement, with what nothing here explains: single slots and networks, fractions."""

LEAST_LEFT = 0.2
"""Corrections leave at least this share of what the slopes say."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A timed file beside what slopes say of it.

    Attributes:
        slots: That it consists of.
        own_ms: Its time without the call's.
        missed_ms: Of this what slopes and context terms do not say.
        is_whole: Whether it is a network.
    """

    slots: Sequence[Slot]
    own_ms: float
    missed_ms: float
    is_whole: bool


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Of the slots of one kind, in networks.

    Attributes:
        places: Coordinates of those that were timed, (M, D).
        weights: How much each of them says of slots like it, fractions, (M,).
        factor: Of all of them alike, the same for all kinds, a fraction.
        per_taken: Milliseconds per million values that come in.
        per_handed: Milliseconds per million values that go out.
    """

    places: Sequence[Sequence[float]]
    weights: Sequence[float]
    factor: float
    per_taken: float
    per_handed: float


def corrected(
    slots: Sequence[Slot], ms_S: np.ndarray, corrections: Mapping[str, Correction]
) -> np.ndarray:
    """What slots take in networks, milliseconds, (S,).

    Args:
        slots: Of any kinds.
        ms_S: What slopes say of them.
        corrections: By kind; slots of other kinds stay as they are.
    """
    found_S = ms_S.copy()
    by_kind: dict[str, list[int]] = defaultdict(list)
    for number, slot in enumerate(slots):
        by_kind[kind_of(slot.signature)].append(number)
    for kind in by_kind.keys() & corrections.keys():
        numbers, own = by_kind[kind], corrections[kind]
        alike = [slots[number] for number in numbers]
        near_SM = _nearness(_places(alike), np.reshape(own.places, (len(own.weights), -1)))
        handing_S = _handed(alike) @ [own.per_taken, own.per_handed]
        share_S = near_SM @ np.asarray(own.weights) + own.factor
        plain_S = ms_S[numbers]
        found_S[numbers] = np.maximum(plain_S * (1 + share_S) + handing_S, LEAST_LEFT * plain_S)
    return found_S


def fit_corrections(
    files: Sequence[Timed], slopes: Mapping[str, Sequence[float]]
) -> dict[str, Correction]:
    """By kind of slot what remains to be added to the slopes.

    Args:
        files: Their times.
        slopes: By kind of slot milliseconds per unit of `FEATURES`.
    """
    if not files:
        return {}
    own_R = np.array([file.own_ms for file in files])
    is_whole_R = np.array([file.is_whole for file in files], float)
    groups = _groups(files, slopes)
    handing = HANDING * _ms_per_value(groups, own_R, is_whole_R)
    noise_R = np.where(is_whole_R > 0, NOISE_WHOLE, NOISE_ALONE)
    covariance_RR, slots_R = np.diag(noise_R**2), np.zeros(len(files))
    for group in groups.values():
        share_RM = group.count_RM * group.ms_M / own_R[:, None]
        covariance_RR += LIKE**2 * share_RM @ _nearness(group.places, group.places) @ share_RM.T
        handed_R2 = group.count_RM @ group.handed_M2 * (is_whole_R / own_R)[:, None]
        slots_R += share_RM.sum(axis=1) * is_whole_R
        covariance_RR += handing**2 * handed_R2 @ handed_R2.T
    covariance_RR += IN_NETWORKS**2 * np.outer(slots_R, slots_R)
    missed_R = np.array([file.missed_ms for file in files]) / own_R
    solved_R = np.linalg.solve(covariance_RR, missed_R)
    factor = IN_NETWORKS**2 * float(slots_R @ solved_R)
    found = {}
    for kind, group in groups.items():
        weight_M = group.count_RM.T @ (solved_R / own_R)
        in_networks_M = group.count_RM.T @ (solved_R * is_whole_R / own_R)
        taken, handed = handing**2 * (in_networks_M @ group.handed_M2)
        found[kind] = Correction(
            places=group.places.tolist(),
            weights=(LIKE**2 * group.ms_M * weight_M).tolist(),
            factor=factor,
            per_taken=float(taken),
            per_handed=float(handed),
        )
    return found


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Slots of one kind that files have, each once.

    Attributes:
        places: Their coordinates, (M, D).
        ms_M: What slopes say of them.
        handed_M2: Millions of values that they take and hand on.
        count_RM: How often each file has each of them.
    """

    places: np.ndarray
    ms_M: np.ndarray
    handed_M2: np.ndarray
    count_RM: np.ndarray


def _groups(files: Sequence[Timed], slopes: Mapping[str, Sequence[float]]) -> dict[str, _Group]:
    numbers: dict[str, dict[Slot, int]] = defaultdict(dict)
    counts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row, file in enumerate(files):
        for slot in file.slots:
            kind, nameless = kind_of(slot.signature), _nameless(slot)
            number = numbers[kind].setdefault(nameless, len(numbers[kind]))
            counts[kind].append((row, number))
    groups = {}
    for kind, known in numbers.items():
        count_RM = np.zeros((len(files), len(known)))
        np.add.at(count_RM, tuple(np.transpose(counts[kind])), 1.0)
        slots = list(known)
        groups[kind] = _Group(
            places=_places(slots),
            ms_M=np.array([features(slot) for slot in slots]) @ np.asarray(slopes[kind]),
            handed_M2=_handed(slots),
            count_RM=count_RM,
        )
    return groups


def _nameless(slot: Slot) -> Slot:
    """Equal for slots whose times are."""
    inputs = None if slot.num_inputs == 1 else ("",) * slot.num_inputs
    return replace(slot, name="", inputs=inputs)


def _ms_per_value(groups: Mapping[str, _Group], own_R: np.ndarray, is_whole_R: np.ndarray) -> float:
    """What networks take per million values that are handed over, in the middle; 0 without any."""
    handed_R = sum(group.count_RM @ group.handed_M2[:, 1] for group in groups.values())
    ratio_R = (own_R / handed_R)[is_whole_R > 0]
    return float(np.median(ratio_R)) if len(ratio_R) else 0.0


def _places(slots: Iterable[Slot]) -> np.ndarray:
    return np.array([coordinates(slot) for slot in slots])


def _handed(slots: Iterable[Slot]) -> np.ndarray:
    return np.array([handed_over(slot) for slot in slots])


def _nearness(one_SD: np.ndarray, other_MD: np.ndarray) -> np.ndarray:
    """1 for slots of equal sizes, 0 for those far apart, (S, M)."""
    squares_SM = (
        (one_SD**2).sum(axis=1)[:, None] + (other_MD**2).sum(axis=1) - 2 * one_SD @ other_MD.T
    )
    near_SM: np.ndarray = np.exp(-0.5 * np.maximum(squares_SM, 0.0) / REACH**2)
    return near_SM
