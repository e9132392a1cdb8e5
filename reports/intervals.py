"""How sure a mean over images is."""

import math


def wilson(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a proportion.

    Unlike the normal approximation it stays within [0, 1] and is not empty at 0 or `total`
    correct answers.

    Args:
        correct: Answers that were right, 0 <= correct <= total.
        total: Answers in all, at least 1.
        z: Quantile of the standard normal; 1.96 gives 95 %.

    Returns:
        Lower and upper bound, fractions in [0, 1].

    Raises:
        ValueError: If no answer was given, or more were right than were given.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference,
    J. Am. Stat. Assoc. 22 (1927).
    """
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"correct={correct} of total={total}: needs 0 <= correct <= total >= 1.")
    share = correct / total
    denominator = 1 + z**2 / total
    centre = share + z**2 / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low = (centre - spread) / denominator if correct > 0 else 0.0
    high = (centre + spread) / denominator if correct < total else 1.0
    return low, high


def difference(
    one: float, interval: tuple[float, float], other: float, of_other: tuple[float, float]
) -> tuple[float, float]:
    """Interval of one mean minus another that is independent of it, from their own.

    Source: Zou and Donner, Construction of Confidence Limits about Effect Measures, Statistics in
    Medicine 27 (2008), equation 4; with Wilson intervals that of Newcombe (1998), method 10.
    """
    low = math.hypot(one - interval[0], of_other[1] - other)
    high = math.hypot(interval[1] - one, other - of_other[0])
    return one - other - low, one - other + high


def normal(mean: float, deviation: float, total: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a mean by its standard error; `z` as in `wilson`.

    Args:
        mean: Over images.
        deviation: Standard deviation over them.
        total: How many they are.
        z: Quantile of the standard normal.
    """
    spread = z * deviation / math.sqrt(total)
    return mean - spread, mean + spread
