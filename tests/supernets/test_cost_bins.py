"""Members in given shares of bins of multiply-adds, in a space of sizes."""

import numpy as np
import pytest

from search_spaces import SearchSpace, UserError
from supernets.methods.cost_bins import CostBins

DRAWS = 240


def drawn(method: CostBins, turns: range = range(DRAWS)) -> np.ndarray:
    return np.array([method.draw(turn, np.random.default_rng([0, turn])) for turn in turns])


@pytest.mark.parametrize(("num_bins", "bin_shares"), [(4, "even"), (3, "1:2:1"), (3, "0:0:5")])
def test_multiply_adds_follow_the_shares(mini: SearchSpace, num_bins: int, bin_shares: str) -> None:
    method = CostBins(space=mini, num_bins=num_bins, bin_shares=bin_shares)
    text = ":".join(["1"] * num_bins) if bin_shares == "even" else bin_shares
    wanted = np.array([float(part) for part in text.split(":")])
    found = np.bincount(method.bins.of(drawn(method)), minlength=num_bins) / DRAWS
    # Members come within 5 % of what is drawn, so some at an edge are in the next bin.
    assert found == pytest.approx(wanted / wanted.sum(), abs=0.05)


def test_the_end_counts_the_members_of_every_bin(mini: SearchSpace) -> None:
    method = CostBins(space=mini, num_bins=2)
    state = method.initial_state()
    for place in (0, 1, 1):
        state = method.fold(state, [{"bin": np.array(place)}])
    assert state["trained"].tolist() == [1, 2]
    assert method.summary(state).endswith(": 2")


@pytest.mark.parametrize("wrong", ["1:2", "a:b:c", "0:0:0", "1:-1:3", "inf:1:1", "nan:1:1", ""])
def test_shares_that_are_none_are_refused(mini: SearchSpace, wrong: str) -> None:
    with pytest.raises(UserError, match="as many numbers as there are bins, 3"):
        CostBins(space=mini, num_bins=3, bin_shares=wrong)
