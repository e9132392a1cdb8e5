"""What a search space holds, in numbers: for `nas space describe`."""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from nas.problem.budget import binding, format_value, parse_budget, refuse_impossible, resolve
from nas.problem.joint import refuse_jointly_impossible
from search_spaces import Resolution, SearchSpace

SAMPLES = 20_000
DESCRIBED = ("macs", "params")


@dataclass(frozen=True)
class CostRange:
    """Smallest, median and largest value of a metric over the space."""

    metric: str
    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Description:
    """A space in numbers.

    Attributes:
        name: Of the space.
        resolution: Height and width of the images in pixels, as they are written.
        num_networks: Distinct architectures.
        num_candidates: Distinct architectures with their compression policies.
        costs: Exact extremes, medians of uniformly sampled candidates.
        budgets: Sentences about each budget.
        share_within: Fraction of uniformly sampled candidates within all budgets.
    """

    name: str
    resolution: Resolution
    num_networks: int
    num_candidates: int
    costs: tuple[CostRange, ...]
    budgets: tuple[str, ...]
    share_within: float | None

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"space '{self.name}' at {self.resolution} px",
            f"  distinct networks             {count_text(self.num_networks)}",
            f"  with precision and sparsity   {count_text(self.num_candidates)}",
        ]
        for cost in self.costs:
            low, middle, high = (
                format_value(cost.metric, v) for v in (cost.minimum, cost.median, cost.maximum)
            )
            lines.append(f"  {cost.metric:8} min {low}, median {middle}, max {high}")
        lines += [f"  {text}" for text in self.budgets]
        return "\n".join(lines)


def describe(arch: SearchSpace, space: SearchSpace, budgets: tuple[str, ...]) -> Description:
    """Sizes and costs of a space, and what budgets do to it.

    Args:
        arch: The space without policy choices.
        space: The same with them.
        budgets: As on the command line.

    Raises:
        UserError: If a budget cannot be read, or no network is within it.
    """
    costs = space.costs
    assert costs is not None
    assert space.network is not None
    limits = resolve([parse_budget(text) for text in budgets], costs)
    refuse_impossible(limits, costs)
    refuse_jointly_impossible(limits, costs)
    sample = space.sample(np.random.default_rng(0), SAMPLES)
    within = np.ones(len(sample), bool)
    sentences = []
    for limit in limits:
        if limit.metric not in costs.metrics:
            sentences.append(f"budget {limit.text}: measured during a search, not known here")
            continue
        found = binding(limit, costs)
        fits = costs.of(limit.metric, sample) <= limit.max
        within &= fits
        verb = "binds" if found.binds else "does not bind"
        sentences.append(f"budget {limit.text} {verb}: {fits.mean():.2%} of candidates are within")
    if sum(limit.metric in costs.metrics for limit in limits) > 1:
        sentences.append(f"all together: {within.mean():.2%} of candidates are within")
    ranges = tuple(
        CostRange(
            metric,
            costs.minimum(metric)[0],
            float(np.median(costs.of(metric, sample))),
            costs.maximum(metric)[0],
        )
        for metric in DESCRIBED
    )
    return Description(
        name=space.name,
        resolution=space.network.resolution,
        num_networks=arch.size,
        num_candidates=space.size,
        costs=ranges,
        budgets=tuple(sentences),
        share_within=float(within.mean()) if limits else None,
    )


def count_text(number: int) -> str:
    """A count for people, however large: it may be beyond what a float holds."""
    return f"{number:,}" if number < 10**9 else f"{Decimal(number):.2e}"
