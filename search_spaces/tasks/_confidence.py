"""How far answers are as often right as they claim to be. Shapes: N images."""

import numpy as np

CALIBRATION_ERROR = "calibration_error"
"""Name of the metric, a fraction, in records."""

BINS = 15


def expected_calibration_error(
    confidences_N: np.ndarray, is_right_N: np.ndarray, *, bins: int = BINS
) -> float:
    """Mean gap between confidence and accuracy, over bins of equal width by confidence.

    Args:
        confidences_N: How probable the network says that its answer is right, 0 to 1.
        is_right_N: Whether it is.
        bins: Open at their lower ends; that of the first one belongs to it.

    Returns:
        A fraction: each bin counts by its share of the images.

    Source: Guo et al., On Calibration of Modern Neural Networks (2017), equation 3.
    """
    places_N = np.clip(np.ceil(confidences_N * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(places_N, weights=is_right_N - confidences_N, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences_N))
