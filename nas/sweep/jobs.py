"""The jobs of a sweep, and how each ended: what Ray Tune is given and what it says.

outcomes.json   of supernets and searches, by name: whether it finished or failed, and why
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from nas.run.config import Config
from nas.system.files import read_json, write_json
from search_spaces import PluginFile

PLAN, OUTCOMES = "sweep.json", "outcomes.json"
SUPERNETS, RUNS = "supernets", "runs"
FINISHED, FAILED = "finished", "failed"


class Watcher(Protocol):
    """Told what becomes of the jobs of a sweep."""

    def begin(self, stage: str, names: Sequence[str]) -> None:
        """These are to be done now."""

    def started(self, name: str) -> None:
        """One runs."""

    def ended(self, name: str, status: str, text: str) -> None:
        """One is "finished" or has "failed"; a line about it."""


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """What one Tune trial does.

    Attributes:
        name: Of its folder.
        config: Of the run.
        out: The run directory, or its URL.
        is_supernet: Whether it ends with the trained supernet.
        plugins: The sweep's plug-in files, for nodes that do not have them.
    """

    name: str
    config: Config
    out: str
    is_supernet: bool
    plugins: tuple[PluginFile, ...] = ()

    def to_text(self) -> str:
        """The job as a line of JSON."""
        return json.dumps({**vars(self), "config": asdict(self.config)})

    @staticmethod
    def from_text(text: str) -> "SweepJob":
        """The inverse of `to_text`."""
        document = json.loads(text)
        document["config"] = Config(**with_tuples(document["config"]))
        document["plugins"] = tuple(PluginFile(*row) for row in document["plugins"])
        return SweepJob(**document)


def with_tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as `Config` has them, of which JSON has made lists."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}


class Outcomes:
    """outcomes.json, kept while jobs of one stage end."""

    def __init__(self, path: Path, stage: str, watcher: Watcher) -> None:
        self.stage = stage
        self._path = path
        self._watcher = watcher
        nothing: dict[str, Any] = {"schema": 1, SUPERNETS: {}, RUNS: {}}
        self._document = read_json(path) if path.exists() else nothing

    @property
    def statuses(self) -> dict[str, str]:
        """Of the jobs of this stage that have ended."""
        return {name: found["status"] for name, found in self._document[self.stage].items()}

    @property
    def finished(self) -> set[str]:
        """Those that ended well."""
        return {name for name, status in self.statuses.items() if status == FINISHED}

    @property
    def failures(self) -> dict[str, str]:
        """What those said that did not."""
        found = self._document[self.stage].items()
        return {name: row["error"] for name, row in found if row["status"] == FAILED}

    def begin(self, names: Sequence[str]) -> None:
        """These jobs are to be done."""
        self._watcher.begin(self.stage, names)

    def started(self, name: str) -> None:
        """A job runs."""
        self._watcher.started(name)

    def ended(self, name: str, status: str, text: str) -> None:
        """A job has ended."""
        error = text if status == FAILED else ""
        self._document[self.stage][name] = {"status": status, "error": error}
        write_json(self._path, self._document)
        self._watcher.ended(name, status, text)
