"""Pairs of limits: what is refused is impossible, and what is proposed instead is possible."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.inspect.describe import describe
from nas.problem.budget import parse_budget, resolve
from nas.problem.joint import refuse_jointly_impossible, smallest_within
from nas.problem.problem import Limit
from search_spaces import Additive, SearchSpace, UserError, load_space
from tests.strategies import everything, spaces

METRICS = ("macs", "params", "size_bytes")


@settings(max_examples=12)
@given(spaces(max_encodings=4000), st.permutations(METRICS), st.floats(0, 1))
def test_the_smallest_within_a_limit_is_between_its_bounds(
    space: SearchSpace, metrics: list[str], place: float
) -> None:
    metric, other, _ = metrics
    assert space.costs is not None
    rows = everything(space)
    values, limited = space.costs.of(metric, rows), space.costs.of(other, rows)
    limit = Limit(other, float(np.quantile(limited, place)))
    smallest = values[limited <= limit.max].min()
    found = smallest_within(space.costs, metric, limit)
    assert found.low <= smallest * (1 + 1e-9)
    assert smallest <= found.high
    assert found.high in values[limited <= limit.max]
    refuse_jointly_impossible([limit, Limit(metric, float(smallest))], space.costs)


def vit_on_digits() -> Additive:
    """Alone, 24,522 parameters are possible."""
    space = load_space("vit", resolution=32, channels=1, num_classes=10)
    costs = space.with_policy(("fp32", "int8"), (0, 0.25, 0.5)).costs
    assert costs is not None
    return costs


def test_a_pair_that_no_network_meets_is_refused_with_what_is_possible() -> None:
    costs = vit_on_digits()

    def asked(*texts: str) -> list[Limit]:
        return resolve([parse_budget(text) for text in texts], costs)

    with pytest.raises(UserError, match="none meets both") as refusal:
        refuse_jointly_impossible(asked("2780kMACs", "24.53kparams"), costs)
    ways = re.findall(r"'(\S+)' with '(\S+)' or more", str(refusal.value))
    assert {way[0] for way in ways} == {"2780kMACs", "24.53kparams"}
    for way in ways:
        refuse_jointly_impossible(asked(*way), costs)
    refuse_jointly_impossible(asked("2780kMACs", "12ms"), costs)


def test_a_space_is_described_with_what_all_budgets_leave_together() -> None:
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    found = describe(space, space.with_policy(("fp32",), (0,)), ("60%MACs", "60%params"))
    assert found.share_within is not None
    last = f"all together: {found.share_within:.2%} of candidates are within"
    assert found.budgets[-1] == last
    assert last in str(found)
