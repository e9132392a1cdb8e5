"""What sizes.json says: the operators, multiply-adds and widths that take part in a run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.problem.budget import format_value
from nas.problem.problem import Limit
from nas.system.files import read_json, understood
from search_spaces import Metric, Option, SearchSpace

FILE = "sizes.json"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the time can teach.

    Attributes:
        max_macs: Largest multiply-adds of a member; infinite for no limit.
        operators: Names of those that take part; () for all.
        widths: Largest of the widths that take part, by the choice's name.
        expected: Of the shown metric of the best member with shared weights; nan if not known.
        trained: Limits within which the given supernet was trained; others were never taught.
    """

    max_macs: float = math.inf
    operators: tuple[str, ...] = ()
    widths: Mapping[str, int] = field(default_factory=dict)
    expected: float = math.nan
    trained: tuple[Limit, ...] = ()

    def limits(self, limits: Sequence[Limit]) -> list[Limit]:
        """The user's limits, and of the size and what was trained those that are smaller."""
        text = f"{format_value('macs', self.max_macs)} (planned)"
        found = [*limits]
        for own in (Limit("macs", self.max_macs, text=text), *self.trained):
            if own.max < min((x.max for x in found if x.metric == own.metric), default=math.inf):
                found.append(own)
        return found

    def space(self, space: SearchSpace) -> SearchSpace:
        """The space with these operators and widths only; who offers none of them keeps its own."""
        keep: dict[str, Sequence[Option]] = {}
        for choice in (space.choices[column] for column in space.columns("operator")):
            known = [option for option in choice.options if option in self.operators]
            keep[choice.name] = known or choice.options
        for name, largest in self.widths.items():
            keep[name] = [o for o in space.choice(name).options if float(o) <= largest]
        return space.restricted(keep)


def sizes_of(path: Path) -> Sizes:
    """What a run decided; nothing is left out by one that decided nothing.

    Args:
        path: Of the run.
    """
    file = path / FILE
    if not file.exists():
        return Sizes()
    document = read_json(file)
    with understood(f"'{file}'"):
        return Sizes(
            max_macs=float(document["max_macs"] or math.inf),
            operators=tuple(str(name) for name in document["operators"]),
            widths={str(name): int(width) for name, width in document["widths"].items()},
            expected=float(document["expected"] or math.nan),
            trained=tuple(
                Limit(str(row["metric"]), float(row["max"]), text=str(row["text"]))
                for row in document.get("trained", ())
            ),
        )


def sentence(
    document: Mapping[str, Any], space: SearchSpace, limits: Sequence[Limit], shown: Metric
) -> str:
    """What was decided, for people.

    Args:
        document: Of sizes.json.
        space: Not trimmed.
        limits: The user's.
        shown: The metric that is expected.
    """
    assert space.costs is not None
    allowed = [limit.max for limit in limits if limit.metric == "macs"]
    size = format_value("macs", min([*allowed, space.costs.maximum("macs")[0]]))
    if document["max_macs"]:
        size = f"{format_value('macs', document['max_macs'])} of {size}"
    chosen, offered = document["operators"], document["offered"]
    operators = ", ".join(chosen)
    if len(chosen) < len(offered):
        operators += f" ({len(chosen)} of {len(offered)} operators)"
    expected = document["expected"]
    hope = f"; expected with shared weights: {shown.text(expected, 0)}" if expected else ""
    more = "; more --time offers more" if document["is_less"] else ""
    return f"sizes: networks up to {size}, of {operators}{hope}{more}"
