"""A finished search that is small enough to be copied, damaged and continued many times."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import ne
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from nas.finalists.entry import Entry
from nas.front import exporting
from nas.front.card import read_card
from nas.front.facts import CardMaker
from nas.latency import Row
from nas.run.config import Config
from nas.run.directory import WEIGHTS
from nas.scoring.scorer import Scorer
from nas.search_flow import search
from nas.standalone.beside import Job
from nas.standalone.train import trained_alone
from nas.system.files import CHECKSUM, read_json, read_lines, write_json
from nas.system.reporter import Silent
from nas.targets import Timing
from search_spaces import CandidateError
from supernets.train import DivergedError

NO_RESULTS = (
    *("train_state", "report", "profile", "measurements", "timings", "answers"),
    *("finetune_plan.json", "pays.json"),
    *("config.toml", "env.json", "events.jsonl", "grown.jsonl"),
)
"""What results are made of, or what is made of them, or says when or why."""

NOT_OF_A_SUPERNET = (
    *("trials.jsonl", "search_plan.json", "finetune_plan.json", "front.json", "beliefs.jsonl"),
    *("measurements", "finetunes", "timings", "answers", "front", "finalists", "references"),
)
"""What a search adds to the run of a supernet that was trained alone."""

CLOCKED = "train_log.jsonl"
"""Of the supernet and of networks trained further; has images per second."""


class Stopped(Exception):
    """Raised where a test has seen enough of a search, or stands for kill -9."""


@contextmanager
def stopped(patch: pytest.MonkeyPatch, place: str) -> Iterator[None]:
    """What is at this place is never reached the end of."""

    def stop(*_: object, **__: object) -> None:
        raise Stopped

    with patch.context() as context:
        context.setattr(place, stop)
        with pytest.raises(Stopped):
            yield


def results(run: Path) -> dict[str, object]:
    """What a search is for: trials, weights, front, and the files of front and references."""
    found: dict[str, object] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        is_result = not path.name.startswith(".") and not name.startswith(NO_RESULTS)
        if path.is_file() and is_result and path.name != CLOCKED:
            found[name] = content_of(path)
    return found


def content_of(path: Path) -> object:
    """The bytes of a file, or what it says if that is JSON."""
    content = path.read_bytes()
    if path.suffix == ".jsonl":
        return [_said(json.loads(line)) for line in content.splitlines()]
    return _said(json.loads(content)) if path.suffix == ".json" else content


def _said(document: dict[str, object]) -> dict[str, object]:
    """Without the checksum, even if a letter of its name has changed: the rest is whole then."""
    return {
        name: value
        for name, value in document.items()
        if len(name) != len(CHECKSUM) or sum(map(ne, name, CHECKSUM)) > 1
    }


def train_one_by_one(
    jobs: Iterator[Job],
    *,
    processes: int,
    on_progress: Callable[[str, int, int], None] = lambda name, step, steps: None,
) -> None:
    """What `nas.standalone.beside.train_beside` does, in this process: no seconds until others have begun."""
    for job in jobs:
        with suppress(DivergedError):
            trained_alone(
                job.network, job.images, job.folder, lambda job=job: job.plan,
                on_step=lambda numbers, steps, job=job: on_progress(
                    job.name, int(numbers["step"]), steps
                ),
            )  # fmt: skip


@dataclass(frozen=True)
class SmallRun:
    """The finished run.

    Attributes:
        path: Its directory. Do not change it.
        config: With which it was started.
    """

    path: Path
    config: Config

    def copied(self, to: Path, *without: str) -> Path:
        """A copy in a folder of the same name below `to`, less what matches the patterns."""
        copy = to / self.path.name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path, copy)
        for pattern in without:
            for path in list(copy.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return copy

    def untrained(self, to: Path) -> Path:
        """A copy that is of `nas train`, profiled and planned; every step leaves a checkpoint."""
        copy = self.copied(to, *NOT_OF_A_SUPERNET, WEIGHTS, "train_state", CLOCKED)
        plan = read_json(copy / "plan.json") | {"is_all": True, "checkpoint_s": 0.0}
        write_json(copy / "plan.json", plan)
        return copy

    def continued(self, run: Path) -> None:
        """The same search in this directory."""
        search(self.config, run, Silent())

    @contextmanager
    def remembering(self, *, exports: bool = True) -> Iterator[None]:
        """Measuring, exporting (if asked for) and verifying give what they gave before, at once.

        Finalists are trained in this process.
        """
        really_export = exporting.export
        folders = {path.parent.name: path.parent for path in self.path.rglob("card.json")}
        rows = read_lines(self.path / "profile/rows.jsonl", Row.from_json)

        def export(
            entry: Entry, folder: Path, answers: Path, scorer: Scorer, artefacts: Any
        ) -> None:
            if not exports:
                return really_export(entry, folder, answers, scorer, artefacts)
            if entry.key not in folders:
                raise CandidateError("nobody remembers it")
            for file in read_card(folders[entry.key] / "card.json")["files"]:
                shutil.copy2(folders[entry.key] / file, folder / file)
            answers.parent.mkdir(exist_ok=True)
            shutil.copy2(self.path / "answers" / answers.name, answers)
            return None

        def card(
            _: CardMaker, entry: Entry, folder: Path, answers: Path, timings: Any
        ) -> dict[str, Any]:
            card = read_card(folders[entry.key] / "card.json")
            for file in card["files"]:
                if file.endswith(".onnx"):
                    card["files"][file]["latency"] = timings[f"{folder.name}/{file}"].to_json()
            return card

        def measure(_: object, files: list[Path], **__: object) -> list[Timing]:
            names = (f"{file.parent.name}.{file.name}.json" for file in files)
            return [Timing.from_json(read_json(self.path / "timings" / name)) for name in names]

        def measure_rows(
            *_: object, known: list[Row], record: Callable[[Row], None], **__: object
        ) -> list[Row]:
            for row in rows[len(known) :]:
                record(row)
            return rows

        def plan(name: str) -> Callable[..., dict[str, Any]]:
            return lambda *_, **__: read_json(self.path / name)

        with (
            mock.patch("nas.front.exporting.export", export),
            mock.patch("nas.front.measure.beside", lambda _, work, jobs: map(work, jobs)),
            mock.patch("nas.front.facts.CardMaker.__call__", card),
            mock.patch("nas.executors._base.measure", measure),
            mock.patch("nas.prepare.profile.measure_rows", measure_rows),
            mock.patch("nas.prepare.train_supernet.plan_training", plan("plan.json")),
            mock.patch("nas.search_flow.plan_search", plan("search_plan.json")),
            mock.patch("nas.finalists.train.train_beside", train_one_by_one),
        ):
            yield
