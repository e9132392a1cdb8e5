"""Budgets as people write them, turned into limits, and refused if no network can meet them.

A budget is a number and a unit: "4.5GFLOPs", "300MMACs", "5Mparams", "2MB", "12ms"; or a
percentage of the largest value in the space: "60%MACs"; or a latency on another target than the
first: "5ms@openvino". Multiply-adds that would be left with kernels for sparsity patterns are
"50%modelledMACs". FLOPs means multiply-adds, as in the papers and in fvcore; bit_ops are
multiply-adds times the cost of their bits, 1 in bf16 and 2 in fp32, so that "25%bit_ops" is what
the largest network has in int8. Case is forgiven ("gflops", "mb") except where it carries meaning:
M is always 1e6, and "ms" is milliseconds in lower case only. Numbers are read as decimals, so that
"2.37MFLOPs" is 2,370,000 exactly.
"""

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple, Protocol

from nas.problem.problem import Limit
from search_spaces import MODELLED_MACS, UserError

EXAMPLES = "4.5GFLOPs, 300MMACs, 5Mparams, 2MB, 12ms or 60%MACs"
NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(%?)(.*)", re.A | re.I | re.S)
COMMA = re.compile(r"(\d+),(\d+)(.*)", re.ASCII | re.DOTALL)

LATENCY, AT = "latency_ms", "@"
PREFIXES = {"": "1", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
UNITS: dict[str, tuple[str, Decimal]] = {
    **{p + "FLOPs": ("macs", Decimal(scale)) for p, scale in PREFIXES.items()},
    **{p + "MACs": ("macs", Decimal(scale)) for p, scale in PREFIXES.items()},
    **{p + "modelledMACs": (MODELLED_MACS, Decimal(s)) for p, s in PREFIXES.items()},
    **{p + "params": ("params", Decimal(scale)) for p, scale in PREFIXES.items()},
    **{p + "bit_ops": ("bit_ops", Decimal(scale)) for p, scale in PREFIXES.items()},
    **{p + "B": ("size_bytes", Decimal(scale)) for p, scale in PREFIXES.items()},
    **{p + "iB": ("size_bytes", Decimal(1024**i)) for i, p in enumerate("KMG", start=1)},
    "us": (LATENCY, Decimal("1e-3")),
    "ms": (LATENCY, Decimal(1)),
    "s": (LATENCY, Decimal("1e3")),
}
"""Canonical spelling of every unit: the metric, and how many of the metric's own unit it is."""

SHOWN = {
    "macs": [f"{prefix}MACs" for prefix in PREFIXES],
    MODELLED_MACS: [f"{prefix}modelledMACs" for prefix in PREFIXES],
    "params": [f"{prefix}params" for prefix in PREFIXES],
    "bit_ops": [f"{prefix}bit_ops" for prefix in PREFIXES],
    "size_bytes": [f"{prefix}B" for prefix in PREFIXES],
    LATENCY: ["us", "ms", "s"],
}
"""Units that `format_value` chooses from, smallest first."""


class Extremes(Protocol):
    """A cost model that knows the extremes of a whole space."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that can be asked for."""

    def minimum(self, metric: str) -> tuple[float, tuple[int, ...]]:
        """The smallest value and an encoding that has it."""

    def maximum(self, metric: str) -> tuple[float, tuple[int, ...]]:
        """The largest value and an encoding that has it."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One `--budget`, understood but not yet compared with a space.

    Attributes:
        text: As the user wrote it.
        metric: What it bounds.
        max: In the metric's unit; if `is_fraction`, a fraction in (0, 1] of the largest value.
        is_fraction: Whether it was a percentage.
        unit: Canonical spelling of the user's unit, for messages.
        target: On which a latency is measured; "" for the first one of the search.
    """

    text: str
    metric: str
    max: float
    is_fraction: bool
    unit: str
    target: str = ""


class Binding(NamedTuple):
    """How a limit lies to the values that a space attains, in the metric's unit."""

    minimum: float
    maximum: float
    binds: bool


def parse_budget(text: str) -> Budget:
    """Reads one budget.

    Raises:
        UserError: If it is anything else than a positive number and a known unit.
    """
    written, at, target = (part.strip() for part in text.partition(AT))
    match = NUMBER.fullmatch(written)
    if match is None:
        raise _refusal(text, "it does not start with a number")
    number, percent = match[1], match[2]
    spelling = "".join(match[3].split())
    comma = COMMA.fullmatch(written)
    if comma is not None:
        thousands = len(comma[2]) == 3
        pointed = f"{comma[1]}{'' if thousands else '.'}{comma[2]}{comma[3]}"
        raise _refusal(text, "decimals are written with a point", [pointed])
    unit = _unit(spelling)
    if unit is None:
        found = f"'{spelling}' is not a unit" if spelling else "it has no unit"
        units = _close_units(spelling) if 0.0 < float(number) < math.inf else []
        raise _refusal(text, found, [number + percent + u for u in units])
    metric, scale = UNITS[unit]
    if at and (metric != LATENCY or not target):
        raise _refusal(text, f"'{AT}' stands between a latency and a target, as in 5ms@openvino")
    if not math.isfinite(float(number)):
        raise _refusal(text, "the number is too large")
    if float(number) <= 0.0:
        positive = number.lstrip("-")
        meant = [positive + percent + unit] if float(positive) > 0.0 else []
        raise _refusal(text, "it must be more than zero", meant)
    if percent and float(number) > 100.0:
        raise _refusal(text, "a percentage of the largest value in the space is at most 100")
    value = float(Decimal(number) / 100 if percent else Decimal(number) * scale)
    if not 0.0 < value < math.inf:
        raise _refusal(text, "the number is too large or too small")
    return Budget(
        text=text,
        metric=metric_on(metric, target),
        max=value,
        is_fraction=bool(percent),
        unit=unit,
        target=target,
    )


def metric_on(metric: str, target: str) -> str:
    """The name of a metric on a target: "latency_ms@openvino"; on the first, "", its own."""
    return f"{metric}{AT}{target}" if target else metric


def without_target(metric: str) -> str:
    """The inverse of `metric_on`."""
    return metric.partition(AT)[0]


def resolve(budgets: Sequence[Budget], costs: Extremes) -> list[Limit]:
    """One limit per metric, in the order in which metrics first appear; the tightest holds.

    Raises:
        UserError: If a percentage is asked of a metric whose largest value nobody knows.
    """
    tightest: dict[str, Limit] = {}
    for budget in budgets:
        limit = Limit(budget.metric, _absolute(budget, costs), text=budget.text)
        known = tightest.get(limit.metric)
        if known is None or limit.max < known.max:
            tightest[limit.metric] = limit
    return list(tightest.values())


def binding(limit: Limit, costs: Extremes) -> Binding:
    """What the space attains, and whether the limit takes anything away from it."""
    minimum, maximum = costs.minimum(limit.metric)[0], costs.maximum(limit.metric)[0]
    return Binding(minimum, maximum, binds=limit.max < maximum)


def refuse_impossible(limits: Sequence[Limit], costs: Extremes) -> None:
    """Checks each limit alone against the whole space; limits on unknown metrics are passed over.

    Raises:
        UserError: If no network meets a limit; names the range, and the nearest possible budget in
            the unit that the user wrote.
    """
    for limit in limits:
        if limit.metric not in costs.metrics:
            continue
        minimum = costs.minimum(limit.metric)[0]
        if minimum > limit.max:
            maximum = costs.maximum(limit.metric)[0]
            smallest, largest = (format_value(limit.metric, v) for v in (minimum, maximum))
            shown = limit.text.strip() or format_value(limit.metric, limit.max)
            nearest = nearest_budget(limit, minimum=minimum, maximum=maximum)
            raise UserError(
                f"budget {shown!r}: no network of this space is that small. "
                f"The space spans {smallest} to {largest}. Use '{nearest}' or more."
            )


def nearest_budget(limit: Limit, *, minimum: float, maximum: float) -> str:
    """The smallest possible budget in the user's own unit, rounded up to three digits."""
    if not limit.text:
        return rounded_up(Decimal(minimum)) + f" {limit.metric}"
    asked = parse_budget(limit.text)
    if asked.is_fraction:
        return rounded_up(Decimal(minimum) / Decimal(maximum) * 100) + f"%{asked.unit}"
    return metric_on(rounded_up(Decimal(minimum) / UNITS[asked.unit][1]) + asked.unit, asked.target)


def format_value(metric: str, value: float) -> str:
    """A metric's value for people, in three digits: "4.5 GMACs", "0.82 ms", "61.2 %"."""
    metric = without_target(metric)
    if not math.isfinite(value):
        return "unknown"
    if metric not in SHOWN:
        return f"{value:.4g}"
    if metric == LATENCY and 0.01 <= abs(value) < 1000.0:
        return f"{_digits(value)} ms"
    rounded = float(f"{value:.2e}")
    fitting = [u for u in SHOWN[metric] if abs(rounded) >= float(UNITS[u][1])]
    unit = fitting[-1] if fitting else SHOWN[metric][0]
    return f"{_digits(value / float(UNITS[unit][1]))} {unit}"


def _absolute(budget: Budget, costs: Extremes) -> float:
    if not budget.is_fraction:
        return budget.max
    if budget.metric not in costs.metrics:
        known = ", ".join(sorted(costs.metrics)) or "none"
        raise UserError(
            f"budget {budget.text!r}: the largest {budget.metric} in the space is not known "
            f"beforehand. Percentages may be of: {known}. Write an absolute value instead."
        )
    return float(Decimal(repr(budget.max)) * Decimal(costs.maximum(budget.metric)[0]))


def _unit(spelling: str) -> str | None:
    """The canonical spelling, or None."""
    spelling = spelling.replace("µ", "u").replace("μ", "u")
    if spelling in UNITS:
        return spelling
    for unit, (metric, _) in UNITS.items():
        if metric != LATENCY and unit.lower() == spelling.lower():
            return unit
    return None


def _close_units(spelling: str) -> list[str]:
    """Units that may have been meant, best first."""
    if spelling in ("m", "M"):
        return ["MFLOPs", "Mparams", "MB", "ms"]
    folded = {unit.lower(): unit for unit in UNITS}
    if spelling.lower() in folded:
        return [folded[spelling.lower()]]
    if spelling.lower() in ("k", "g", "t"):
        return [folded[spelling.lower() + unit] for unit in ("flops", "params", "b")]
    # NOTE: the first letter is the prefix: another one would be another size.
    alike = [unit for unit in UNITS if unit[0].lower() == spelling[:1].lower()]
    return sorted(
        (unit for unit in alike if _likeness(spelling.lower(), unit.lower()) > 0.6),
        key=lambda unit: (
            -_likeness(spelling.lower(), unit.lower()),
            -_likeness(spelling, unit),
        ),
    )[:1]


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _refusal(text: str, found: str, meant: Sequence[str] = ()) -> UserError:
    choices = " or ".join(f"'{choice}'" for choice in meant)
    suggestion = f" Did you mean {choices}?" if meant else ""
    return UserError(
        f"budget {text!r}: {found}. "
        f"A budget is a positive number and a unit, such as {EXAMPLES}.{suggestion}"
    )


def rounded_up(value: Decimal) -> str:
    """Three significant digits, never below `value`, without an exponent."""
    if value == 0:
        return "0"
    step = Decimal(1).scaleb(value.adjusted() - 2)
    rounded = (value / step).to_integral_value(ROUND_CEILING) * step
    return f"{rounded.normalize():f}"


def _digits(value: float) -> str:
    """Three significant digits without an exponent or trailing zeros."""
    return f"{Decimal(f'{value:.2e}').normalize():f}"
