"""A run *is* a directory: everything a search knows is in its files, nothing in memory matters.

    config.toml           the resolved configuration; a run continues only with the same one
    space.py              the user's own space file, where one was given
    space.json            choices and network, after trimming to the budget
    env.json              interpreter, versions, processor
    plan.json             training and limits: decided once, by measuring
    search_plan.json      trials, images per score, finalists: decided once, after training
    profile/              rows.jsonl (timed files), profile.json (the fitted latency model)
    train_state/          checkpoint of training; train_log.jsonl beside it
    supernet.safetensors  the trained weights
    measurements/<key>.json   one finished score each
    trials.jsonl          one line per trial, in order, no wall clock
    finetunes/<key>/      finalists trained further: see `nas/tuner.py`
    fidelity/             networks trained alone: see `nas/fidelity.py`
    answers/<key>.json    what the scored module of an exported network answers, for parity
    timings/<key>.<file>.json   the measured latency of one exported file; in a folder of its own
                          where all were timed again
    events.jsonl          wall clock: phases, messages, hosts
    front/<key>/, references/<key>/   model.onnx, model.fp32.onnx, model.safetensors, card.json
    finalists/<key>/      the same of networks that were measured and are not on the front
    front.json            members, references, replaced candidates, ties, knee
    report/               report.html, pareto.csv, report.md
    tensorboard/          event files that --tensorboard makes from the records

Rule: what was measured and influences a decision is written before it is used, and never measured
again when the run is continued. Files are replaced whole; lines are appended and synced.
"""

import fcntl
import os
import socket
import time
import tomllib
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nas._files import append_line, read_json, read_lines, understood, write_json, write_text
from nas.config import Config, differences, read_config
from nas.environment import environment, now
from nas.trial import Score, Trial
from search_spaces import SearchSpace, UserError

SCHEMA = 1
WEIGHTS = "supernet.safetensors"


class Run:
    """One run directory, locked for this process."""

    def __init__(self, path: Path, lock: IO[str]) -> None:
        self.path = path
        weakref.finalize(self, lock.close)

    @staticmethod
    def open(path: Path, config: Config) -> "Run":
        """Create the run, or continue it.

        Raises:
            UserError: If the directory belongs to another configuration, to another process that
                is at work, or is something else.
            OSError: If it cannot be written.
        """
        known = path / "config.toml"
        if path.exists() and not path.is_dir():
            raise UserError(f"run '{path}' is a file. Name a folder with --out.")
        if path.exists() and not known.exists() and any(_foreign(path)):
            raise UserError(
                f"run '{path}': the folder is not empty and has no config.toml: no run. "
                "Name another folder with --out."
            )
        path.mkdir(parents=True, exist_ok=True)
        run = Run(path, _locked(path))
        if not known.exists():
            write_text(known, config.to_toml())
        run._check_config(config)
        if not (path / "env.json").exists():
            write_json(path / "env.json", environment())
        return run

    def decided(self, name: str, decide: Callable[[], Any]) -> Any:
        """The document in file `name`; decided and written now if there is none."""
        path = self.path / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            write_json(path, decide())
        return read_json(path)

    def score(self, key: str, measure: Callable[[], Score]) -> Score:
        """The recorded score of a candidate; measured and recorded now if there is none."""
        document = self.decided(f"measurements/{key}.json", lambda: _score_json(measure()))
        with understood(f"'{self.path}/measurements/{key}.json'"):
            return Score(dict(document["metrics"]), document["failure"])

    def trials(self, space: SearchSpace) -> list[Trial]:
        """All recorded trials, in order."""
        path = self.path / "trials.jsonl"
        trials = read_lines(path, lambda line: Trial.from_json(line, space))
        numbers = [trial.number for trial in trials]
        if numbers != list(range(len(trials))):
            raise UserError(
                f"'{path}' is damaged: its trials are numbered {numbers}, which has gaps or "
                "repetitions. Restore it from a copy, or delete it: scores are kept elsewhere."
            )
        return trials

    def append_trial(self, trial: Trial) -> None:
        """Record the next trial."""
        append_line(self.path / "trials.jsonl", trial.to_json())

    def folder(self, name: str) -> Path:
        """A folder of the run, made if it is missing."""
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def event(self, phase: str, event: str, **fields: Any) -> None:
        """Record something with wall clock and host."""
        line = {
            "phase": phase,
            "event": event,
            **fields,
            "time": now(),
            "host": socket.gethostname(),
        }
        append_line(self.path / "events.jsonl", line)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Record start, end and seconds of a phase; no end where it was interrupted."""
        started = time.monotonic()
        self.event(name, "start")
        yield
        self.event(name, "end", seconds=round(time.monotonic() - started, 3))

    def remaining_s(self, config: Config) -> float:
        """Seconds of the configured time that the phases ended so far have left."""
        events = read_lines(self.path / "events.jsonl", dict)
        return config.seconds - float(sum(event.get("seconds", 0.0) for event in events))

    def _check_config(self, config: Config) -> None:
        try:
            old = tomllib.loads((self.path / "config.toml").read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(
                f"run '{self.path}': config.toml is damaged ({error}). Use a new directory."
            ) from error
        changed = differences(old, tomllib.loads(config.to_toml()))
        if changed:
            raise UserError(
                f"run '{self.path}': the configuration differs from the one this run was started "
                f"with: {'; '.join(changed)}.\n"
                "  Use a new directory, or restore the old value to continue."
            )


def _foreign(path: Path) -> list[Path]:
    ours = {".lock", ".config.toml.part"}
    return [entry for entry in path.iterdir() if entry.name not in ours]


def _locked(path: Path) -> IO[str]:
    """An exclusive lock; the operating system releases it however the process ends."""
    lock = (path / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        raise UserError(
            f"run '{path}': process {lock.read().strip() or 'unknown'} is at work on it. "
            "Wait for it, or name another folder with --out."
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _score_json(score: Score) -> dict[str, Any]:
    return {"schema": SCHEMA, "metrics": dict(score.metrics), "failure": score.failure}


def read_front(path: Path) -> dict[str, Any]:
    """The front.json of a finished run."""
    front: dict[str, Any] = read_json(path / "front.json")
    return front


def read_space(path: Path) -> SearchSpace:
    """The recorded space of a run: its choices after trimming."""
    with understood(f"'{path}/space.json'"):
        return SearchSpace.from_json(read_json(path / "space.json"))


def read_config_of(path: Path) -> Config:
    """The configuration that a run was started with."""
    return Config(**read_config(path / "config.toml"))
