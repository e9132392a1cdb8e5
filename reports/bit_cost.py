"""What networks cost in bit operations, and where that is not what they take.

Bit cost is multiply-adds times the relative cost of their bits (`AbstractFormat.bit_ops`): what
hardware with a kernel for every format would have to do. Measured latency is of kernels that are
there.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from reports import text
from reports.records import Member, RunTables
from search_spaces import FORMATS, format_of, is_quantized

MEANING = (
    "Bit cost: multiply-adds, each times the mean bits of the two numbers it multiplies, in 16 bits"
)
FEWEST = 3
"""Networks whose order says something."""


class Cost(NamedTuple):
    """Of one deployed file."""

    key: str
    bit_ops: float
    latency_ms: float


def is_known(run: RunTables) -> bool:
    """Whether any network has a bit cost; those of earlier versions have none."""
    return any(member.bit_ops is not None for member in run.members)


def sentence(run: RunTables) -> str:
    """How far bit cost ranks networks as measured latency does; "" where that says nothing."""
    costs = _costs(run.members)
    tau = _tau(costs)
    if tau is None:
        return ""
    found = [
        f"Bit cost and measured latency rank {len(costs)} networks alike with Kendall tau "
        f"{tau:.2f}."
    ]
    if pair := largest_disagreement(costs):
        cheap, fast = pair
        found.append(
            f"They disagree most on {cheap.key} and {fast.key}: the first has "
            f"{text.significant(cheap.bit_ops / fast.bit_ops, 2)} times the bit cost and takes "
            f"{text.significant(cheap.latency_ms / fast.latency_ms, 2)} times as long."
        )
    if names := on_paper_only(run.members):
        found.append(
            f"Weights in {' and '.join(names)} are multiplied in fp32 here: cheaper on paper, not "
            "measured so."
        )
    return " ".join(found)


def largest_disagreement(costs: Sequence[Cost]) -> tuple[Cost, Cost] | None:
    """The two networks of which one has the lower bit cost and the other the lower latency.

    Of all such pairs that whose smaller ratio is the largest, the one of lower bit cost first; None
    if both costs agree on all.
    """

    def extent(pair: tuple[Cost, Cost]) -> float:
        cheap, fast = pair
        bits, times = fast.bit_ops / cheap.bit_ops, cheap.latency_ms / fast.latency_ms
        return math.log(min(bits, times))

    pair = max(itertools.permutations(costs, 2), key=extent, default=None)
    return pair if pair is not None and extent(pair) > 0.0 else None


def on_paper_only(members: Sequence[Member]) -> list[str]:
    """Formats of these networks whose weights have few bits, and are multiplied by fp32."""
    used = {
        str(option)
        for member in members
        for name, option in member.policy.items()
        if name.rpartition(".")[2] == "precision"
    }
    known = (name for name in sorted(used) if name in FORMATS and is_quantized(name))
    return [name for name in known if not format_of(name).multiplies_integers]


def _costs(members: Sequence[Member]) -> list[Cost]:
    """Of networks whose both costs are known and positive."""
    found = [(m.key, m.bit_ops, m.deployed.latency.median_ms) for m in members]
    return [Cost(key, bits, ms) for key, bits, ms in found if bits and ms]


def _tau(costs: Sequence[Cost]) -> float | None:
    """Kendall's tau-b; None where there are too few networks, or one of the costs is the same."""
    if len(costs) < FEWEST:
        return None
    frame = pd.DataFrame(costs)
    tau = float(frame["bit_ops"].corr(frame["latency_ms"], method="kendall"))
    return tau if math.isfinite(tau) else None
