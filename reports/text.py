"""Numbers and networks as people read them.

A missing number is "-". Sizes are decimal (1 kB = 1000 bytes). A network is one line per stage:
"stage1: width 32, depth 2, int8, sparsity .25: mbconv k3 e4 | window h2 e3".
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nas.problem.budget import format_value
from nas.run.config import STANDS_FOR
from reports.documents import as_number
from reports.records import Interval
from search_spaces import DENSE, FULL_RANK, Metric, is_quantized

MISSING = "-"
PRECISION, SPARSITY, PATTERN, DEPTH = ".precision", ".sparsity", ".pattern", ".depth"
RANK = ".rank"
MOST_LISTED = 8
SHORT_OPTIONS = {
    "kernel_size": "k",
    "expand_ratio": "e",
    "num_heads": "h",
    "window_size": "w",
    "channel_part": "",
}
SENTINELS: Mapping[str, tuple[Any, str]] = {
    **STANDS_FOR,
    "learning_rate": (0.0, "the optimizer's own"),
    "max_macs": (0.0, "no limit"),
}
"""Of configurations and plans: what stands for something else, and what for."""

OPERATION = "operation"
"""Of an edge of a cell."""

OPERATOR_NAMES = ("operator", "mixer", "block", OPERATION)


def percent(fraction: float | None) -> str:
    """0.6123 -> "61.2"; the unit is in the column's head."""
    return MISSING if fraction is None else f"{100 * fraction:.1f}"


def percent_at_least(fraction: float) -> str:
    """Rounded down: 0.9997 -> "99.9", because "100.0" would say that none differs."""
    return f"{math.floor(1000 * fraction + 1e-9) / 10:.1f}"


def score(value: float | None, metric: Metric) -> str:
    """A task's metric, 0.6123 -> "61.2"; the unit is in the column's head."""
    return MISSING if value is None else metric.number(value)


def score_range(interval: Interval | None, metric: Metric) -> str:
    """(0.58, 0.641) -> "58.0-64.1" with an en dash."""
    if interval is None:
        return ""
    return f"{metric.number(interval[0])}–{metric.number(interval[1])}"


def interval_of(metric: Metric) -> str:
    """Which interval is shown with a metric."""
    return f"95 % {'Wilson ' if metric.is_share else ''}interval"


def significant(value: float | None, digits: int = 3) -> str:
    """Rounded to significant digits, never in exponent form: 0.8123 -> "0.812"."""
    if value is None:
        return MISSING
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition(
        "e"
    )  # rounded first: 0.9996 -> 1.00
    return f"{float(f'{mantissa}e{exponent}'):.{max(digits - 1 - int(exponent), 0)}f}"


def with_unit(value: str, unit: str) -> str:
    """ "0.812" and "ms" -> "0.812 ms"; a missing value has no unit."""
    return value if value == MISSING else f"{value} {unit}".rstrip()


def span(interval: Interval | None) -> str:
    """(0.7, 0.9) -> "0.700-0.900" with an en dash."""
    return "" if interval is None else f"{significant(interval[0])}–{significant(interval[1])}"


def size(num_bytes: float | None) -> str:
    """240123 -> "240 kB"."""
    return MISSING if num_bytes is None else format_value("size_bytes", num_bytes)


def count(number: float | None) -> str:
    """12345678 -> "12.3 M"; what is counted is in the column's head."""
    if number is None:
        return MISSING
    return format_value("params", number).removesuffix("params").rstrip()


def magnitude(number: int) -> str:
    """How many there are, roughly: 4213 -> "4213", 41300000000000 -> "4.1 x 10^13"."""
    if number < 1e6:
        return f"{number}"
    mantissa, _, exponent = f"{Decimal(number):.1e}".partition("e")
    return f"{mantissa} x 10^{int(exponent)}"


def seconds(value: float) -> str:
    """7.25 -> "7.2 s"; 95 -> "1 min 35 s"; 7300 -> "2 h 2 min"."""
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours} h {minutes_left} min" if hours else f"{minutes} min {rest} s"


def sparsity(value: Any) -> str:
    """0.25 -> ".25"; 0 -> "0"."""
    text = f"{value:g}" if isinstance(value, int | float) else str(value)
    return text.removeprefix("0") if text.startswith("0.") else text


@dataclass(frozen=True, kw_only=True)
class StageText:
    """One stage of a network in words."""

    name: str
    settings: tuple[str, ...]
    precision: str
    sparsity: str
    blocks: tuple[tuple[str, str], ...]  # (operator, its options): ("mbconv", "k3 e4")
    width: float | None = None  # channels
    pattern: str = ""  # of its weights; "" if they are dense
    removed: float = 0.0  # the sparsity as a number; of several, the mean
    is_part: bool = False  # of a network that was brought

    @property
    def is_quantized(self) -> bool:
        """Whether its format is known to have fewer bits than trained weights."""
        return bool(self.precision) and is_quantized(self.precision)

    @property
    def line(self) -> str:
        """The whole stage on one line."""
        extra = [self.precision] if self.precision else []
        extra += [f"sparsity {self.sparsity}"] if self.sparsity else []
        extra += [self.pattern] if self.pattern else []
        blocks = " | ".join(" ".join(filter(None, block)) for block in self.blocks)
        head = f"{self.name}: {', '.join([*self.settings, *extra])}"
        return f"{head}: {blocks}" if blocks else head


def stages(arch: Mapping[str, Any], policy: Mapping[str, Any]) -> tuple[StageText, ...]:
    """A network stage by stage, in the order in which its choices name the stages.

    Choices are dotted names: `stage.setting`, `stage.block.option`; a name without a dot belongs to
    the "network". Cells are shown like stages, the operations on their edges like blocks. Of a
    network that was brought nothing but depths may be chosen: its stages are the parts that are
    left of it, behind those of which blocks may be left out.
    """
    if any(n.endswith(PRECISION) for n in policy) and all(n.endswith(DEPTH) for n in arch):
        depths = [_stage(n.removesuffix(DEPTH), {"depth": d}, {}) for n, d in arch.items()]
        return (*depths, *_parts(policy))
    own: dict[str, dict[str, Any]] = {}
    blocks: dict[str, dict[str, dict[str, Any]]] = {}
    for name, value in [*arch.items(), *policy.items()]:
        parts = name.split(".")
        stage = parts[0] if len(parts) > 1 else "network"
        own.setdefault(stage, {})
        blocks.setdefault(stage, {})
        if len(parts) > 2 and parts[1].startswith("block"):
            blocks[stage].setdefault(parts[1], {})[".".join(parts[2:])] = value
        elif parts[-1] == OPERATION:
            edge = ".".join(parts[1:-1])
            blocks[stage][edge] = {OPERATION: value, "on": edge}
        else:
            own[stage][".".join(parts[1:]) or name] = value
    return tuple(_stage(name, own[name], blocks[name]) for name in own)


def _parts(policy: Mapping[str, Any]) -> tuple[StageText, ...]:
    """The parts of a network that was brought: each has a format, and groups that may be pruned.

    A group is called after the layer that makes it, and so is shown with the part of that layer.
    """
    parts = [name.removesuffix(PRECISION) for name in policy if name.endswith(PRECISION)]
    groups: dict[str, dict[str, float]] = {part: {} for part in parts}
    for name, value in policy.items():
        group = name.removesuffix(SPARSITY)
        if group == name:
            continue
        owner = max((p for p in parts if f"{group}.".startswith(f"{p}.")), key=len, default=group)
        groups.setdefault(owner, {})[group.removeprefix(owner).lstrip(".")] = (
            as_number(value) or 0.0
        )
    return tuple(_part(name, policy, removed) for name, removed in groups.items())


def _part(name: str, policy: Mapping[str, Any], removed: Mapping[str, float]) -> StageText:
    named = len(removed) > 1
    return StageText(
        name=name,
        settings=tuple(
            f"{group or 'outputs'} −{100 * share:.3g} %"
            for group, share in removed.items()
            if share and named
        )
        + _rank(policy.get(f"{name}{RANK}")),
        precision=str(policy.get(f"{name}{PRECISION}", "")),
        sparsity=sparsity(max(removed.values())) if removed else "",
        pattern=_pattern(policy.get(f"{name}{PATTERN}")),
        blocks=(),
        removed=sum(removed.values()) / len(removed) if removed else 0.0,
        is_part=True,
    )


def _stage(name: str, own: dict[str, Any], blocks: dict[str, dict[str, Any]]) -> StageText:
    policy = ("precision", "sparsity", "pattern")
    return StageText(
        name=name,
        settings=tuple(f"{key} {value}" for key, value in own.items() if key not in policy),
        precision=str(own.get("precision", "")),
        sparsity=sparsity(own["sparsity"]) if "sparsity" in own else "",
        pattern=_pattern(own.get("pattern")),
        blocks=tuple(_block(options) for options in blocks.values()),
        width=as_number(own.get("width")),
        removed=min(1.0, max(0.0, as_number(own.get("sparsity")) or 0.0)),
    )


def _pattern(value: Any) -> str:
    return "" if value in (None, DENSE) else str(value)


def _rank(value: Any) -> tuple[str, ...]:
    return () if value in (None, FULL_RANK) else (f"rank {value}",)


def _block(options: dict[str, Any]) -> tuple[str, str]:
    operator = next((str(options[name]) for name in OPERATOR_NAMES if name in options), "")
    rest = [_option(k, v) for k, v in options.items() if k not in OPERATOR_NAMES]
    return operator, " ".join(rest)


def _option(name: str, value: Any) -> str:
    return f"{SHORT_OPTIONS[name]}{value}" if name in SHORT_OPTIONS else f"{name} {value}"


def network(arch: Mapping[str, Any], policy: Mapping[str, Any]) -> tuple[str, ...]:
    """One line per stage."""
    return tuple(stage.line for stage in stages(arch, policy))


def operators(arch: Mapping[str, Any]) -> list[str]:
    """What fills the blocks, one word per block."""
    return [name for stage in stages(arch, {}) for name, _ in stage.blocks if name]


def per_stage(arch: Mapping[str, Any], policy: Mapping[str, Any], field: str) -> str:
    """One policy field over the stages: "int8 int8 fp32"; "-" when no stage decides it.

    Of many stages, equal ones in a row are counted: "int8 x14 fp32".
    """
    values = [getattr(stage, field) for stage in stages(arch, policy)]
    given = [value for value in values if value]
    if len(given) > MOST_LISTED:
        runs = [(value, len(list(same))) for value, same in itertools.groupby(given)]
        given = [f"{value} x{count}" if count > 1 else value for value, count in runs]
    return " ".join(given) or MISSING


def flat(
    values: Mapping[str, Any], prefix: str = "", *, is_raw: bool = False
) -> list[tuple[str, str]]:
    """Nested tables as dotted names, values as people write them, or as they are stored."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += flat(value, f"{prefix}{name}.", is_raw=is_raw)
        else:
            is_size = name.endswith("_bytes") and isinstance(value, int)
            said = shown(value) if is_raw else setting(name, value)
            pairs.append((prefix + name, size(value) if is_size else said))
    return pairs


def setting(name: str, value: object) -> str:
    """A setting as people read it: 0 as resolution is "the data's own"."""
    sentinel, words = SENTINELS.get(name, (None, ""))
    return words if words and value == sentinel and value is not False else shown(value)


def shown(value: object) -> str:
    """A value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(shown, value)) or MISSING
    return MISSING if value is None or value != value or value == "" else str(value)
