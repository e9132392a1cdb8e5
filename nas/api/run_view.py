"""`nas.open`: a run to look at.

Not `nas.run.directory.Run`, which writes one and locks it: several may look at a run, also while
its search is going on. Everything is read as reports read it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import pandas as pd

from nas.api.load import load
from nas.run.directory import check_is_run
from nas.system.files import read_json
from reports import build_report, embedded, load_run, pareto_frame, trials_frame
from reports.records import DEPLOYED, Member, RunTables
from search_spaces import UserError


@final
@dataclass(frozen=True)
class MemberView:
    """A network of a run, with its files: one of the front, or a reference beside it.

    Attributes:
        run: The run's directory.
        row: What its card says.
    """

    run: Path
    row: Member

    def __repr__(self) -> str:
        return f"Member('{self.key}')"

    @property
    def key(self) -> str:
        """What names it."""
        return self.row.key

    @property
    def path(self) -> Path:
        """The folder of its files."""
        return self.run / self.row.folder

    @property
    def onnx(self) -> Path:
        """The file that was measured, to be deployed."""
        return self.path / DEPLOYED

    @property
    def card(self) -> dict[str, Any]:
        """What goes in, what comes out, and all that was measured."""
        return read_json(self.path / "card.json")

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """What the task measures on the search split, by name."""
        task, found = self.row.task, self.row.deployed.search
        return {task.shown.name: found.shown, task.loss.name: found.loss}

    @property
    def accuracy(self) -> float | None:
        """On the search split, a fraction; None where the task has no such metric."""
        return self.metrics.get("accuracy")

    @property
    def latency_ms(self) -> float | None:
        """The measured median; None if it was not measured."""
        return self.row.deployed.latency.median_ms

    @property
    def size_bytes(self) -> int | None:
        """Of the deployed file."""
        return self.row.deployed.bytes

    def load(self) -> Any:
        """The network as a torch module; see `nas.load`."""
        return load(self.path / "model.safetensors")


@final
@dataclass(frozen=True)
class RunView:
    """A run directory, as it was when it was first looked at; `nas.open` looks anew.

    Attributes:
        path: The directory.
    """

    path: Path

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    def _repr_html_(self) -> str:
        """Plot and table of the front, for notebooks."""
        return embedded(self._tables)

    @cached_property
    def _tables(self) -> RunTables:
        return load_run(self.path)

    @property
    def front(self) -> pd.DataFrame:
        """The rows and columns of report/pareto.csv: the front by latency, then references."""
        return pareto_frame(self._tables)

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial: its key, measured and predicted metrics, and why it failed."""
        return trials_frame(self._tables)

    @cached_property
    def members(self) -> Mapping[str, MemberView]:
        """The networks of `front`, by key."""
        found: dict[str, MemberView] = {}
        for row in self._tables.members:
            found.setdefault(row.key, MemberView(self.path, row))
        return found

    def best(
        self, *, latency_ms: float | None = None, size_bytes: float | None = None
    ) -> MemberView:
        """The member of the front that is best on the search split, within these limits.

        Args:
            latency_ms: Its measured latency is at most this.
            size_bytes: Its file has at most so many bytes.

        Raises:
            UserError: If there is none, with what there is.
        """
        front = [self.members[row.key] for row in self._tables.front]
        within = [
            member
            for member in front
            if _is_within(member.latency_ms, latency_ms)
            and _is_within(member.size_bytes, size_bytes)
        ]
        if not within:
            raise UserError(f"run '{self.path}': {_none_of(front, latency_ms, size_bytes)}")
        return min(within, key=_rank)

    def report(self) -> Path:
        """The path of report.html, which is written if it is missing."""
        page = self.path / "report" / "report.html"
        return page if page.is_file() else build_report(self.path)


def open_run(path: str | Path) -> RunView:
    """A run to look at, finished or not; nothing in it is locked or changed.

    Raises:
        UserError: If this is no run directory.
    """
    check_is_run(Path(path))
    return RunView(Path(path))


def _is_within(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)


def _rank(member: MemberView) -> tuple[float, float]:
    """Lower is better: the task's metric, then latency."""
    shown, latency = member.row.deployed.search.shown, member.latency_ms
    score = math.inf if shown is None else member.row.task.shown.signed(shown)
    return score, math.inf if latency is None else latency


def _none_of(front: list[MemberView], latency_ms: float | None, size_bytes: float | None) -> str:
    if not front:
        return "there is no network on its front yet. Continue its search first."
    asked = [f"latency_ms={latency_ms:g}"] if latency_ms is not None else []
    asked += [f"size_bytes={size_bytes:g}"] if size_bytes is not None else []
    there = "; ".join(f"{m.key} {m.latency_ms} ms, {m.size_bytes} bytes" for m in front)
    return (
        f"no network of its front is within {' and '.join(asked)}. There are: {there}. Allow more, "
        "or search with such a budget."
    )
