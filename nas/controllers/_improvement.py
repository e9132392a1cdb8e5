"""Expected hypervolume improvement: by how much a network that is not measured yet is likely to
extend the front.

The part of the space of losses that no member dominates is cut into boxes. What a new point adds is
a sum over boxes of a product over objectives, and so is its expectation if the objectives are
independent and normal.

Sources: Lacour, Klamroth, Fonseca, A box decomposition algorithm to compute the hypervolume
indicator (2017): the boxes. Yang, Emmerich, Deutz, Baeck, Efficient computation of expected
hypervolume improvement using box decomposition algorithms (2019): the expectation.
"""

import numpy as np
from scipy.special import ndtr

Boxes = tuple[np.ndarray, np.ndarray]
"""Lower and upper corners, shape (B, M) each."""


def open_boxes(losses_FM: np.ndarray, reference_M: np.ndarray) -> Boxes:
    """Disjoint boxes that cover what is better than the reference and not dominated.

    Args:
        losses_FM: Any rows; those beyond the reference add nothing.
        reference_M: The corner of what counts.

    Returns:
        Lower corners, -inf where open, and upper corners: shape (B, M) each.
    """
    num = len(reference_M)
    upper_BM = reference_M[None].astype(float)
    # The points that define the sides of every local upper bound: (B, M, M).
    sides_BMM = np.full((1, num, num), -np.inf)
    sides_BMM[0, range(num), range(num)] = reference_M
    for point_M in losses_FM[(losses_FM < reference_M).all(axis=1)]:
        is_cut_B = (point_M < upper_BM).all(axis=1)
        if not is_cut_B.any():
            continue
        new_upper, new_sides = [upper_BM[~is_cut_B]], [sides_BMM[~is_cut_B]]
        for j in range(num):
            others = [k for k in range(num) if k != j]
            lowest_B = (
                sides_BMM[is_cut_B][:, others, j].max(axis=1)
                if others
                else np.full(int(is_cut_B.sum()), -np.inf)
            )
            is_kept_B = point_M[j] >= lowest_B
            upper = upper_BM[is_cut_B][is_kept_B]
            upper[:, j] = point_M[j]
            sides = sides_BMM[is_cut_B][is_kept_B]
            sides[:, j] = point_M
            new_upper.append(upper)
            new_sides.append(sides)
        upper_BM, sides_BMM = np.concatenate(new_upper), np.concatenate(new_sides)
    lower_BM = np.full(upper_BM.shape, -np.inf)
    for j in range(1, num):
        lower_BM[:, j] = sides_BMM[:, :j, j].max(axis=1)
    is_real_B = (lower_BM < upper_BM).all(axis=1)
    return lower_BM[is_real_B], upper_BM[is_real_B]


def expected_improvement(mean_NM: np.ndarray, std_NM: np.ndarray, boxes: Boxes) -> np.ndarray:
    """Expected gain of hypervolume of every row, shape (N,). A zero std is an exact loss."""
    lower_BM, upper_BM = boxes
    gain_NB = np.ones((len(mean_NM), len(lower_BM)))
    for m in range(mean_NM.shape[1]):
        levels, place = np.unique(
            np.concatenate([lower_BM[:, m], upper_BM[:, m]]), return_inverse=True
        )
        below_NL = _expected_excess(mean_NM[:, m], std_NM[:, m], levels)
        low_B, high_B = np.split(place.reshape(-1), 2)
        gain_NB *= below_NL[:, high_B] - below_NL[:, low_B]
    return gain_NB.sum(axis=1)


def _expected_excess(mean_N: np.ndarray, std_N: np.ndarray, levels_L: np.ndarray) -> np.ndarray:
    """E[max(level - loss, 0)], shape (N, L)."""
    is_open_L = np.isneginf(levels_L)
    gap_NL = np.where(is_open_L, 0.0, levels_L) - mean_N[:, None]
    safe_N1 = np.maximum(std_N, 1e-12)[:, None]
    z_NL = np.clip(gap_NL / safe_N1, -40.0, 40.0)
    value_NL = gap_NL * ndtr(z_NL) + safe_N1 * np.exp(-0.5 * z_NL**2) / np.sqrt(2.0 * np.pi)
    return np.where(is_open_L, 0.0, np.maximum(value_NL, 0.0))
