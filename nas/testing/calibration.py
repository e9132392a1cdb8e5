"""What every calibration keeps to: zero is in the range, units and order do not matter."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from compress.calibration._base import BINS, CALIBRATIONS, AbstractCalibration, Histogram, Seen
from nas.testing._expect import require
from nas.testing._exported import require_shipped_as_simulated
from nas.testing._spaces import mini_space, random_supernet, slots_of
from nas.testing._tensors import noise
from supernets.supernet import Supernet

BATCHES, ENTRIES = 4, 50_000
FACTOR = 8.0
"""A power of two, which rounds nothing."""

LEAST_KEPT = 0.8
"""Of the extremes, where every value in between is equally frequent."""

LEAST_SAME = 0.98


def check_zero_is_in_the_range_and_the_range_within_the_extremes(name: str) -> None:
    """Zero is in the range, and nothing beyond the extremes is."""
    for what, values in _values():
        seen = _seen(name, values)
        low, high = _calibration(name).range(seen)
        least, most = seen.extremes
        require(
            least - 1e-6 * (most - least) <= low <= 0.0 <= high <= most + 1e-6 * (most - least),
            f"of {what} between {least:.3g} and {most:.3g} the range is {low:.3g} to {high:.3g}",
        )
        require(low < high, f"of {what} the range is empty")


def check_what_is_measured_in_other_units_has_the_range_in_other_units(name: str) -> None:
    """Values times a number have the range times that number."""
    for what, values in _values():
        found = np.array(_calibration(name).range(_seen(name, values)))
        scaled = np.array(_calibration(name).range(_seen(name, FACTOR * values)))
        require(
            np.allclose(FACTOR * found, scaled, rtol=1e-4),
            f"of {what} the range is {found}, and of {FACTOR:g} times them {scaled}",
        )


def check_the_order_of_images_does_not_matter(name: str) -> None:
    """Batches in another order have the same range."""
    for what, values in _values():
        found = np.array(_calibration(name).range(_seen(name, values)))
        turned = np.array(_calibration(name).range(_seen(name, values.flip(0))))
        require(np.allclose(found, turned, rtol=1e-5), f"of {what} it is {found} or {turned}")


def check_of_equally_frequent_values_few_are_clipped(name: str) -> None:
    """Where all values are equally frequent, at most a fifth of the extremes is cut off."""
    values = torch.rand(BATCHES, ENTRIES, generator=torch.Generator().manual_seed(0))
    low, high = _calibration(name).range(_seen(name, 3 * values - 1))
    require(
        low <= -LEAST_KEPT and high >= 2 * LEAST_KEPT,
        f"of values between -1 and 2 the range is {low:.3g} to {high:.3g}",
    )


def check_its_networks_are_shipped_as_simulated(name: str) -> None:
    """Networks calibrated by it answer alike as modules, ONNX files and checkpoints."""
    for operator in ("mbconv", "convnext"):
        supernet = _supernet()
        slots = slots_of(supernet.space, operator=operator, precision="int8")
        require_shipped_as_simulated(supernet, slots, least_same=LEAST_SAME, calibrated_by=name)


CHECKS: tuple[Callable[[str], None], ...] = (
    check_zero_is_in_the_range_and_the_range_within_the_extremes,
    check_what_is_measured_in_other_units_has_the_range_in_other_units,
    check_the_order_of_images_does_not_matter,
    check_of_equally_frequent_values_few_are_clipped,
    check_its_networks_are_shipped_as_simulated,
)


def _calibration(name: str) -> AbstractCalibration:
    found = CALIBRATIONS.get(name)()
    assert isinstance(found, AbstractCalibration)
    return found


def _values() -> Iterator[tuple[str, torch.Tensor]]:
    """What they are called, and batches of them."""
    normal = noise(BATCHES, ENTRIES, seed=1)
    yield "normal values", normal
    yield "what a ReLU makes", normal.relu()
    yield "what a GELU makes", torch.nn.functional.gelu(normal)
    yield "negative values", -normal.abs()
    yield "values with rare large ones", normal + 40 * (noise(BATCHES, ENTRIES, seed=2) > 4)
    yield "two values", (normal > 0).float()


def _seen(name: str, values: torch.Tensor) -> Seen:
    """Each row is a batch."""
    ends = tuple(values.amin(1).tolist()), tuple(values.amax(1).tolist())
    if not _calibration(name).needs_histogram:
        return Seen(*ends)
    low, high = Seen(*ends).extremes
    counts_B = torch.histc(values, BINS, low, high).double().numpy()
    return Seen(*ends, Histogram(low, high, counts_B))


def _supernet() -> Supernet:
    space = mini_space(("mbconv", "convnext"))
    return random_supernet(space.with_policy(("int8",), (0,)))
