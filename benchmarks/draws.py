"""How evenly do training methods draw members by their multiply-adds, and what does it take?

    python benchmarks/draws.py
    python benchmarks/draws.py --space mobile --share 0.3

Members are drawn as in training, without training: `--draws` of `shiftnas` with even chances, of
`sortednet`, and with all options drawn uniformly. `near` are shares of those of `shiftnas` whose
multiply-adds are within 5 % of what was drawn first, and at last; the divergence (Kullback-Leibler,
nats) is that of the histogram of multiply-adds over `shiftnas`' bins from an even one. Members
beyond the limit of `--share` of the largest network's multiply-adds are left out of uniform draws.
Milliseconds are those of a draw.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from nas.cli.console import print_table
from search_spaces import SearchSpace, load_space
from supernets.methods._members import NEAR, Members
from supernets.methods.shiftnas import ShiftNas
from supernets.methods.sortednet import SortedNet

HEADER = ["space", "limit", "drawn by", "near", "divergence", "ms a draw"]


def divergence(counts_K: np.ndarray) -> float:
    """Of a histogram from an even one, nats."""
    shares = counts_K[counts_K > 0] / counts_K.sum()
    return float((shares * np.log(shares * len(counts_K))).sum())


def is_below(space: SearchSpace, limit: float, rows_NC: np.ndarray) -> np.ndarray:
    """Which rows have at most so many multiply-adds: (N,)."""
    assert space.costs is not None
    return np.asarray(space.costs.of("macs", rows_NC) <= limit)


def shares_near(method: ShiftNas, draws: int) -> tuple[float, float]:
    """Shares of draws that are near what was drawn first, and near what was drawn at last."""
    assert method.space.costs is not None
    wanted: list[float] = []
    draw_near = Members.draw_near

    def noting(members: Members, macs: float, *given: int, **named: bool) -> tuple[int, ...]:
        wanted.append(macs)
        return draw_near(members, macs, *given, **named)  # type: ignore[arg-type]

    at_once = at_last = 0
    Members.draw_near = noting  # type: ignore[assignment, method-assign]
    try:
        for turn in range(draws):
            wanted.clear()
            rng = np.random.default_rng([0, 3, turn])
            row = method.draw(method.initial_state(), turn, rng)
            errors = np.abs(method.space.costs.of("macs", np.array([row])) / wanted - 1.0)
            at_last += bool(errors.min() <= NEAR)
            at_once += bool(errors[0] <= NEAR and len(wanted) == 1)
    finally:
        Members.draw_near = draw_near  # type: ignore[method-assign]
    return at_once / draws, at_last / draws


def drawn(
    draw: Callable[[int, np.random.Generator], tuple[int, ...]], number: int
) -> tuple[np.ndarray, float]:
    """Members (N, C), and milliseconds of each."""
    started = time.perf_counter()
    rows = [draw(turn, np.random.default_rng([0, 3, turn])) for turn in range(number)]
    return np.array(rows), 1e3 * (time.perf_counter() - started) / number


def rows_of(space: SearchSpace, share: float, draws: int) -> list[list[str]]:
    """A table's rows of one space and one limit."""
    assert space.costs is not None
    limit = share * space.costs.maximum("macs")[0]
    is_within = partial(is_below, space, limit) if share < 1.0 else None
    shiftnas = ShiftNas(space=space, is_within=is_within)
    sortednet = SortedNet(space=space, is_within=is_within)
    uniform_NC = space.sample(np.random.default_rng(0), 20 * draws)
    uniform_NC = uniform_NC[is_below(space, limit, uniform_NC)]
    shiftnas.bins.of(uniform_NC[:1])  # bins are found once
    ways = {
        "shiftnas": drawn(partial(shiftnas.draw, shiftnas.initial_state()), draws),
        "sortednet": drawn(lambda turn, rng: sortednet.plan(turn, rng)[0].encoding, draws),
        "uniform options": (uniform_NC, 0.0),
    }
    found = []
    for name, (rows_NC, taken_ms) in ways.items():
        counts_K = np.bincount(shiftnas.bins.of(rows_NC), minlength=shiftnas.num_bins)
        near = "-"
        if name == "shiftnas":
            near = ", ".join(f"{share:.1%}" for share in shares_near(shiftnas, draws))
        taken = f"{taken_ms:.2f}" if taken_ms else "-"
        found.append([space.name, f"{share:.0%}", name, near, f"{divergence(counts_K):.3f}", taken])
    return found


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--draws", type=int, default=1000)
    asked = parser.parse_args()
    rows = []
    for name in [asked.space] if asked.space else ["hybrid", "mobile", "vit"]:
        space = load_space(name, resolution=asked.resolution, channels=3, num_classes=10)
        space = space.with_policy(("fp32", "int8"), (0.0, 0.25, 0.5))
        for share in [asked.share] if asked.share else [1.0, 0.3]:
            rows += rows_of(space, share, asked.draws)
    print_table(HEADER, rows)


if __name__ == "__main__":
    main()
