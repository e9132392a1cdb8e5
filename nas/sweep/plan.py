"""What a sweep comes to: options, searches and supernets, decided once and kept as sweep.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.sweep.storage import is_url
from nas.system.text import parse_time
from search_spaces import UserError


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The table [sweep].

    Attributes:
        supernet_time: For training each supernet: "90s", "20m", "1.5h".
        samples: Draws from distributions per combination of listed values.
        sample_seed: Of the draws.
        max_searches: More are refused.
        concurrency: Searches at the same time; 0 for as many as nodes can take.
        max_failures: Retries of a search that fails; it continues where it was.
        time_limit: After which nothing new is begun, and what runs is stopped; "" for none.
        cores: Of a node that a search takes; 0 for all cores of the largest.
        storage: fsspec URL where runs are kept if nodes share no folder; "" for the sweep's own.
    """

    supernet_time: str = "10m"
    samples: int = 1
    sample_seed: int = 0
    max_searches: int = 1000
    concurrency: int = 0
    max_failures: int = 1
    time_limit: str = ""
    cores: int = 0
    storage: str = ""

    def __post_init__(self) -> None:
        for time in filter(None, (self.supernet_time, self.time_limit)):
            parse_time(time)
        if self.storage and not is_url(self.storage):
            raise UserError(
                f"[sweep] storage is '{self.storage}'. It must be a URL, such as "
                "s3://bucket/sweeps; a folder that all nodes share is named with --out instead."
            )
        for name in ("samples", "max_searches", "concurrency", "max_failures", "cores"):
            least = int(name in ("samples", "max_searches"))
            if getattr(self, name) < least:
                raise UserError(
                    f"[sweep] {name} is {getattr(self, name)}. It must be at least {least}."
                )


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search of a sweep.

    Attributes:
        name: Of its run directory.
        settings: What the file says of it.
        supernet: Name of the supernet that it uses.
    """

    name: str
    settings: Mapping[str, Any]
    supernet: str


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep comes to, decided once.

    Attributes:
        options: How it is run.
        varying: Settings with more than one value, in the file's order.
        searches: In order.
        supernets: Settings of each supernet that is trained, by name.
    """

    options: SweepOptions
    varying: tuple[str, ...]
    searches: tuple[Search, ...]
    supernets: Mapping[str, Mapping[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """sweep.json."""
        return {
            "schema": 1,
            "options": vars(self.options),
            "varying": list(self.varying),
            "runs": [vars(search) for search in self.searches],
            "supernets": dict(self.supernets),
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "Sweep":
        """The inverse of `to_json`."""
        return Sweep(
            options=SweepOptions(**document["options"]),
            varying=tuple(document["varying"]),
            searches=tuple(Search(**run) for run in document["runs"]),
            supernets=document["supernets"],
        )
