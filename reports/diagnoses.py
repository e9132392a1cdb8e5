"""What `nas report --filters` and `--robustness` have measured of a run's networks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LayerFilters:
    """The kernels of one convolution; shares and statistics as `compress/filters.py` has them."""

    layer: str
    kernel_size: str  # "3x3"
    filters: int | None
    near_zero: float | None  # fraction
    entropy: float | None
    orthogonality: float | None


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Trained kernels of networks, and how far degenerate parts are those that pruning spares.

    The taus are over parts, with what pruning each does to outputs.
    """

    networks: tuple[tuple[str, tuple[LayerFilters, ...]], ...]  # (key, its layers)
    near_zero_tau: float | None = None
    repetition_tau: float | None = None
    parts: int | None = None


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """One file's network on images that were moved against it."""

    key: str
    file: str
    shown: tuple[float | None, ...]  # the metric by distance
    without_gradient: float | None  # fraction of the images


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """All networks on images that were moved against each."""

    distances: tuple[float, ...]  # in 1/255 of a pixel's range, 0 first
    images: int | None
    rows: tuple[Attacked, ...]
