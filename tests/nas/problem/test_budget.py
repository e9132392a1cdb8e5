"""Budgets: what is understood, what is refused and how, and what a limit means in a space."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nas.problem.budget import (
    UNITS,
    Budget,
    binding,
    format_value,
    nearest_budget,
    parse_budget,
    refuse_impossible,
    resolve,
)
from nas.problem.problem import Limit
from search_spaces import UserError

quick = settings(deadline=None, max_examples=80)


@dataclass(frozen=True)
class Spans:
    """The smallest and largest value of each metric, as a space's cost model knows them."""

    spans: Mapping[str, tuple[float, float]]

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.spans)

    def minimum(self, metric: str) -> tuple[float, tuple[int, ...]]:
        return self.spans[metric][0], (0,)

    def maximum(self, metric: str) -> tuple[float, tuple[int, ...]]:
        return self.spans[metric][1], (1,)


COSTS = Spans({"macs": (1_932_345.0, 60_100_000.0), "size_bytes": (56_540.0, 2_400_000.0)})


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("4.5GFLOPs", "macs", 4.5e9),
        ("4.5 gflops", "macs", 4.5e9),
        (" 4.5GFLOPS\n", "macs", 4.5e9),
        ("300MMACs", "macs", 300e6),
        ("300mmacs", "macs", 300e6),
        ("1kFLOPs", "macs", 1e3),
        ("1KFLOPs", "macs", 1e3),
        (".5TMACs", "macs", 5e11),
        ("7MACs", "macs", 7.0),
        ("2.37MFLOPs", "macs", 2_370_000.0),
        ("1e3MMACs", "macs", 1e9),
        ("5Mparams", "params", 5e6),
        ("3Mbit_ops", "bit_ops", 3e6),
        ("2MB", "size_bytes", 2e6),
        ("2mb", "size_bytes", 2e6),
        ("64kB", "size_bytes", 64e3),
        ("64KiB", "size_bytes", 65536.0),
        ("1.5MiB", "size_bytes", 1.5 * 2**20),
        ("12ms", "latency_ms", 12.0),
        ("800us", "latency_ms", 0.8),
        ("800µs", "latency_ms", 0.8),
        ("+0.5s", "latency_ms", 500.0),
    ],
)
def test_numbers_with_units_are_understood(text: str, metric: str, value: float) -> None:
    budget = parse_budget(text)
    assert (budget.metric, budget.max, budget.is_fraction) == (metric, value, False)
    assert budget.text == text


@pytest.mark.parametrize(
    ("text", "metric", "fraction"),
    [
        ("60%MACs", "macs", 0.6),
        ("60 % gflops", "macs", 0.6),
        ("29%params", "params", 0.29),
        ("25%bit_ops", "bit_ops", 0.25),
        ("100%MB", "size_bytes", 1.0),
        ("12.5%ms", "latency_ms", 0.125),
    ],
)
def test_percentages_are_understood(text: str, metric: str, fraction: float) -> None:
    budget = parse_budget(text)
    assert (budget.metric, budget.max, budget.is_fraction) == (metric, fraction, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4.5GFLOP", "'GFLOP' is not a unit. * Did you mean '4.5GFLOPs'?"),
        ("4.5GFLOPs/s", "Did you mean '4.5GFLOPs'?"),
        ("300MMAC", "Did you mean '300MMACs'?"),
        ("5mparam", "Did you mean '5Mparams'?"),
        ("-3ms", "it must be more than zero. * Did you mean '3ms'?"),
        ("0ms", "it must be more than zero."),
        ("-0MB", "it must be more than zero."),
        ("1e-400ms", "it must be more than zero."),
        ("abc", "it does not start with a number."),
        ("", "it does not start with a number."),
        ("nanGFLOPs", "it does not start with a number."),
        ("infms", "it does not start with a number."),
        ("4,5GFLOPs", "decimals are written with a point. * Did you mean '4.5GFLOPs'?"),
        ("1,000MMACs", "Did you mean '1000MMACs'?"),
        ("1e400GFLOPs", "the number is too large."),
        ("1e99999999999999999999MB", "the number is too large."),
        ("1e305GFLOPs", "the number is too large or too small."),
        ("12", "it has no unit."),
        ("60%", "it has no unit."),
        ("5M", "Did you mean '5MFLOPs' or '5Mparams' or '5MB' or '5ms'?"),
        ("5m", "Did you mean '5MFLOPs' or '5Mparams' or '5MB' or '5ms'?"),
        ("5g", "Did you mean '5GFLOPs' or '5Gparams' or '5GB'?"),
        ("12Ms", "'Ms' is not a unit. * Did you mean '12ms'?"),
        ("12S", "Did you mean '12s'?"),
        ("3MBs", "Did you mean '3MB'?"),
        ("160%MACs", "a percentage of the largest value in the space is at most 100."),
        ("0%MACs", "it must be more than zero."),
        ("5 apples", "'apples' is not a unit."),
        ("٣ms", "it does not start with a number."),
    ],
)
def test_everything_else_is_refused_with_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_budget(text)
    message = str(caught.value)
    assert message.startswith(f"budget {text!r}: ")
    assert "such as 4.5GFLOPs, 300MMACs, 5Mparams, 2MB, 12ms or 60%MACs" in message
    for part in says.split(" * "):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["1PFLOPs", "0x10MFLOPs", "0GFLOP", "1e400GFLOP", "5 apples"])
def test_nothing_is_suggested_where_it_would_be_something_else(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_budget(text)
    assert "Did you mean" not in str(caught.value)


@quick
@given(st.text() | st.from_regex(r"\A\s?[+-]?[0-9.,]{0,6}(e-?[0-9]{1,4})?%?\s?[A-Za-z]{0,7}\Z"))
@example("1e" + "9" * 30 + "B")
@example("9" * 5000 + "B")
@example("0." + "0" * 5000 + "1B")
def test_parsing_raises_nothing_but_user_errors(text: str) -> None:
    try:
        budget = parse_budget(text)
    except UserError:
        return
    assert isinstance(budget, Budget)
    assert 0.0 < budget.max < float("inf")


@quick
@given(st.decimals("0.001", "999", places=3), st.sampled_from(sorted(UNITS)))
def test_case_does_not_change_what_a_size_means(number: object, unit: str) -> None:
    budget = parse_budget(f"{number}{unit}")
    if budget.metric != "latency_ms":
        assert parse_budget(f"{number}{unit.lower()}").max == budget.max
        assert parse_budget(f"{number} {unit.upper()}").max == budget.max


def test_percentages_are_of_the_largest_value_in_the_space() -> None:
    (limit,) = resolve([parse_budget("60%MACs")], COSTS)
    assert (limit.metric, limit.max) == ("macs", 36_060_000.0)


def test_a_percentage_of_something_unknown_is_refused() -> None:
    with pytest.raises(UserError, match=r"budget '60%ms'.*macs, size_bytes.*absolute value"):
        resolve([parse_budget("60%ms")], COSTS)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_budgets_for_one_metric_the_tighter_holds(order: int) -> None:
    texts = ["20MFLOPs", "12ms", "50%MACs", "1MB"][::order]
    limits = {limit.metric: limit for limit in resolve([parse_budget(t) for t in texts], COSTS)}
    assert {metric: limit.text for metric, limit in limits.items()} == {
        "macs": "20MFLOPs",
        "latency_ms": "12ms",
        "size_bytes": "1MB",
    }


def test_a_limit_binds_if_it_takes_something_away() -> None:
    assert binding(Limit("macs", 60e6), COSTS) == (1_932_345.0, 60_100_000.0, True)
    assert not binding(Limit("macs", 60_100_000.0), COSTS).binds
    assert not binding(Limit("macs", 4.5e9), COSTS).binds


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("1kFLOPs", "1940kFLOPs"), ("1.9MMACs", "1.94MMACs"), ("3%MACs", "3.22%MACs")],
)
def test_an_impossible_budget_is_refused_with_the_nearest_possible_one(
    text: str, nearest: str
) -> None:
    with pytest.raises(UserError) as caught:
        refuse_impossible(resolve([parse_budget(text)], COSTS), COSTS)
    message = str(caught.value)
    assert f"budget '{text}'" in message
    assert "1.93 MMACs to 60.1 MMACs" in message
    assert f"Use '{nearest}' or more." in message
    refuse_impossible(resolve([parse_budget(nearest)], COSTS), COSTS)


@quick
@given(
    st.integers(1, 10**12).map(float),
    st.integers(0, 10**12),
    st.sampled_from(sorted(UNITS)),
    st.booleans(),
)
def test_the_nearest_possible_budget_is_possible_and_near(
    minimum: float, more: int, unit: str, is_fraction: bool
) -> None:
    costs = Spans({UNITS[unit][0]: (minimum, minimum + more)})
    asked = Limit(UNITS[unit][0], 0.0, text=f"1{'%' if is_fraction else ''}{unit}")
    nearest = nearest_budget(asked, minimum=minimum, maximum=minimum + more)
    (limit,) = resolve([parse_budget(nearest)], costs)
    refuse_impossible([limit], costs)
    assert limit.max <= 1.011 * minimum


def test_limits_that_can_be_met_or_are_not_known_pass() -> None:
    refuse_impossible([Limit("macs", 1_932_345.0), Limit("latency_ms", 1e-9)], COSTS)


def test_a_limit_that_nobody_wrote_as_text_is_refused_all_the_same() -> None:
    with pytest.raises(UserError, match=r"budget '1 kMACs'.*Use '1940000 macs' or more"):
        refuse_impossible([Limit("macs", 1e3)], COSTS)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("macs", 4.5e9, "4.5 GMACs"),
        ("macs", 999.9e6, "1 GMACs"),
        ("macs", 123.0, "123 MACs"),
        ("macs", 0.0, "0 MACs"),
        ("macs", 2e17, "200000 TMACs"),
        ("params", 5e6, "5 Mparams"),
        ("size_bytes", 1.234e6, "1.23 MB"),
        ("bit_ops", 1.5e6, "1.5 Mbit_ops"),
        ("latency_ms", 0.82, "0.82 ms"),
        ("latency_ms", 12.345, "12.3 ms"),
        ("latency_ms", 1234.0, "1.23 s"),
        ("latency_ms", 0.0031, "3.1 us"),
        ("log_loss", 1.93, "1.93"),
        ("macs", float("nan"), "unknown"),
    ],
)
def test_values_are_shown_in_three_digits(metric: str, value: float, text: str) -> None:
    assert format_value(metric, value) == text
