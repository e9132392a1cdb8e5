"""What comes back from evaluating a candidate, and how it is written down.

One trial is one line of `trials.jsonl`: no wall clock, no host, so that a search that was
interrupted leaves the same bytes as one that was not. Numbers that are not finite are written as
null, which JSON has, and read as NaN.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search_spaces import Candidate, SearchSpace, UserError

SCHEMA = 1


@dataclass(frozen=True)
class Score:
    """The quality of a candidate, or why it has none.

    Attributes:
        metrics: Measured numbers, by metric name.
        failure: Why there are none.
        host: Where it was scored, as `nas.system.environment.this_host` has it; None for here.
    """

    metrics: Mapping[str, float]
    failure: str | None = None
    host: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate, evaluated and numbered.

    Attributes:
        number: Position in the order of the search, from 0.
        candidate: What was evaluated.
        metrics: Measured numbers, by metric name; empty while the evaluation is not finished.
        predicted: Numbers from the cost model: exact for macs and params, estimates for others.
        failure: Why there is no measurement; None if there is nothing to complain about.
    """

    number: int
    candidate: Candidate
    metrics: Mapping[str, float]
    predicted: Mapping[str, float]
    failure: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether it was evaluated or has failed; else it is still being evaluated."""
        return bool(self.metrics) or self.failure is not None

    def value(self, metric: str) -> float:
        """The metric as measured, or else as predicted.

        Raises:
            KeyError: If it is neither.
        """
        return self.metrics[metric] if metric in self.metrics else self.predicted[metric]

    def get(self, metric: str) -> float:
        """As `value`, but NaN if the metric is neither measured nor predicted."""
        measured = self.metrics.get(metric)
        return self.predicted.get(metric, math.nan) if measured is None else measured

    def to_json(self) -> dict[str, Any]:
        """The trial as one record, readable without the space."""
        return {
            "schema": SCHEMA,
            "number": self.number,
            "key": self.candidate.key,
            "encoding": list(self.candidate.encoding),
            "arch": dict(self.candidate.arch),
            "policy": dict(self.candidate.policy),
            "metrics": _finite_or_null(self.metrics),
            "predicted": _finite_or_null(self.predicted),
            "failure": self.failure,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any], space: SearchSpace) -> "Trial":
        """The inverse of `to_json`.

        Raises:
            UserError: If the record's key is not that of the candidate in this space.
        """
        candidate = space.candidate(document["encoding"])
        if candidate.key != document["key"]:
            raise UserError(
                f"trial {document['number']} has key '{document['key']}', but its encoding is "
                f"'{candidate.key}' in space '{space.name}'. A record can only be read with the "
                "space it was made with. Use a new directory, or restore the space."
            )
        return Trial(
            number=document["number"],
            candidate=candidate,
            metrics=_number_or_nan(document["metrics"]),
            predicted=_number_or_nan(document["predicted"]),
            failure=text_or_none(document["failure"]),
        )


def text_or_none(value: Any) -> str | None:
    """The value, if it can be a failure.

    Raises:
        ValueError: If it is anything else than text or null.
    """
    if not isinstance(value, str | None):
        raise ValueError(f"failure is {value!r:.40}. It must be text or null")
    return value


def _finite_or_null(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _number_or_nan(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in numbers.items()}
