"""A run *is* a directory: everything a search knows is in its files, nothing in memory matters.

    config.toml           the resolved configuration; a run continues only with the same one
    .lock, .lock_holder   one process at a time works on a run, and which one it is
    space.py, plugins/    the user's own space file and plug-ins, where some were given
    data.npz              images and labels, where a Python program gave arrays
    space.json            choices and network, after trimming to the budget
    trained_space.json    what training left of them, where the method gave some up
    searched_space.json   what --fix leaves of them to a search of a given supernet
    env.json              interpreter, versions, processor
    data.json             what identifies the images: classes, sizes, mean, deviation and the like
    sizes.json, pilot/    sizes and operators that the time can teach: decided once, by a pilot
    plan.json             training and limits: decided once, by measuring
    search_plan.json      trials, images per score, finalists: decided once, after training
    sensitivity.jsonl     what single changes do to a network's outputs: a line each
    starts.json           the first candidates, where an allocation makes them
    grown.jsonl           more trials or time than the run was begun with: see `nas/run/growth.py`
    profile/              rows.jsonl (timed files), profile.json (the fitted latency model); of a
                          profile that was given, a copy of the latter alone
    pays.json             what each format, sparsity, pattern and rank gains on the target, and
                          where it is not offered because it gains nothing: decided once
    train_state/          checkpoint of training; train_log.jsonl beside it
    supernet.safetensors  the trained weights
    measurements/<key>.json   one finished score each
    baseline.json         what scores are compared with where --max-drop is given
    trials.jsonl          one line per trial, in order, no wall clock
    beliefs.jsonl         how well the controller predicted the trials so far
    finetune_plan.json    who is trained further, with what batch: decided once, after the search
    recovery.json         with --max-drop: what rounds of them showed, see `nas/finalists/rounds.py`
    finetunes/<key>/      finalists trained further: see `nas/finalists/finetuning.py`
    teachers/<digest>/    answers of a teacher that are stored: see `nas/finalists/answers.py`
    fidelity/             networks trained alone: see `nas/fidelity.py`
    efficiency/, portability/   what files take at least, and elsewhere: see `nas/profiling/run.py`
    filters.json          statistics of trained kernels: see `nas/filter_diagnosis.py`
    robustness.json       answers on images moved against each network: see `nas/robustness.py`
    answers/<key>.json    what the scored module of an exported network answers, for parity
    answers/<key>.judged.json   what answers of the files of a brought network are worth, image by
                          image; before that in brought_judged.json
    timings/<key>.<file>.json   the measured latency of one exported file; in a folder of its own
                          where all were timed again, and on each target but the first
    events.jsonl          wall clock: phases, messages, hosts, and what has trained
    front/<key>/          model.onnx, model.safetensors, card.json, and of a quantized network
                          model.fp32.onnx and model.fp32.safetensors: it before quantization
    references/<key>/     the same of references that are not on the front
    finalists/<key>/      and of other networks that were measured and are not on it
    exports/<key>/        the same of networks that `nas export` was asked for
    exits/<key>/          networks with early exits: see `nas/exits.py`
    front.json            members, references, replaced candidates, ties, knee; why it is empty
    report/               report.html, pareto.csv, report.md
    tensorboard/          event files that --tensorboard makes from the records

Rule: what was measured and influences a decision is written before it is used, and never measured
again when the run is continued. Files are replaced whole; lines are appended and synced. Damaged
lines of events.jsonl and train_log.jsonl are left out, because no result depends on them.

A run may be moved or copied: nothing in it depends on where it lies. It continues with the same
configuration, except that the places of data, cache, space file, plug-ins and supernet may change
as long as what is there is the same (data.json, space.py, plugins/), and that trials and time may
grow.

Documents and config.toml end with a checksum, and cards have the SHA-256 of files: `nas report`
names what is not as it was written, and does not show it as true.

Versions: every document has a schema number, and one with another number is refused by name (see
`nas.system.files`). A configuration or plan that lacks a field that this version knows has its
default; a field that this version does not know is refused.
"""

import json
import os
import socket
import time
import tomllib
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, Timeout

from nas.problem.trial import Score, Trial, text_or_none
from nas.run.config import Config, differences, may_change
from nas.run.config_file import read_config, with_defaults
from nas.run.growth import check_growth, grow, only_grows, said_of_continuing
from nas.run.own_files import CONFIG, DATA_FILE, load_named
from nas.system.environment import environment, load_average, now, said_of_load, this_host
from nas.system.files import (
    SCHEMA,
    append_line,
    file_lock,
    make_folder,
    read_json,
    read_lines,
    read_log,
    sealed_text,
    understood,
    write_json,
    write_text,
)
from search_spaces import SearchSpace, UserError

WEIGHTS = "supernet.safetensors"
LOCK, LOCK_HOLDER = ".lock", ".lock_holder"
"""Two files, because Windows lets nobody read a locked one."""

SPACE, TRAINED_SPACE = "space.json", "trained_space.json"
SEARCHED_SPACE = "searched_space.json"
LOG_LINES = 100


class Run:
    """One run directory, locked for this process.

    Attributes:
        path: The directory.
        continued: What it continues with and keeps, a sentence; "" for one that begins.
    """

    def __init__(self, path: Path, lock: BaseFileLock) -> None:
        self.path = path
        self.continued = ""
        weakref.finalize(self, lock.release)

    @staticmethod
    def open(path: Path, config: Config, *, may_grow: bool = False) -> "Run":
        """Create the run, or continue it.

        Args:
            path: Its directory.
            config: The same as before.
            may_grow: Whether trials or time may be more than before.

        Raises:
            UserError: If the directory belongs to another configuration, to another process that
                is at work, or is something else.
            OSError: If it cannot be written.
        """
        known = path / "config.toml"
        _refuse_no_run(path)
        run = Run(make_folder(path), locked(path))
        if known.exists():
            run._check_config(config, may_grow)
        else:
            write_text(known, sealed_text(config.to_toml()))
        run.decided("env.json", environment)
        return run

    def decided(self, name: str, decide: Callable[[], Any]) -> Any:
        """The document in file `name`; decided and written now if there is none."""
        path = self.path / name
        if not path.exists():
            make_folder(path.parent)
            write_json(path, decide())
        return read_json(path)

    def has_score(self, key: str) -> bool:
        """Whether a candidate's score is recorded."""
        return (self.path / f"measurements/{key}.json").exists()

    def score(self, key: str, measure: Callable[[], Score]) -> Score:
        """The recorded score of a candidate; measured and recorded now if there is none."""
        document = self.decided(f"measurements/{key}.json", lambda: _score_json(measure()))
        with understood(f"'{self.path}/measurements/{key}.json'"):
            metrics = {name: float(value) for name, value in document["metrics"].items()}
            return Score(metrics, text_or_none(document["failure"]))

    def host_of(self, key: str) -> dict[str, Any]:
        """Where a candidate was scored; {} where that was not recorded."""
        path = self.path / f"measurements/{key}.json"
        host = read_json(path).get("host") if path.exists() else None
        return host if isinstance(host, dict) else {}

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

    def append_beliefs(self, num_trials: int, metrics: Mapping[str, Any]) -> None:
        """Record how well the controller predicts what it has seen; nothing decides by it."""
        if metrics:
            append_line(self.path / "beliefs.jsonl", {"trials": num_trials, "metrics": metrics})

    def folder(self, name: str) -> Path:
        """A folder of the run, made if it is missing."""
        return make_folder(self.path / name)

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
        load = load_average()
        self.event(name, "end", seconds=round(time.monotonic() - started, 3), load=load)
        if text := said_of_load(load):
            self.event(name, "message", text=f"{name}: {text}. On a quiet one results are better")

    def remaining_s(self, config: Config) -> float:
        """Seconds of the configured time that the phases ended so far have left."""
        path = self.path / "events.jsonl"
        spent_s = read_log(path, lambda event: float(event.get("seconds", 0.0)))
        return config.seconds - sum(spent_s)

    def _check_config(self, config: Config, may_grow: bool) -> None:
        path = self.path / CONFIG
        known, old, new = _compared(self.path, config, may_grow)
        if only_grows(old, new):
            grow(self.path, old, new)
        self.continued = said_of_continuing(self.path, differences(known, new))
        text = sealed_text(config.to_toml())
        if path.read_text(encoding="utf-8") != text:
            write_text(path, text)  # what lies elsewhere now, `nas finetune` finds there too


def check_continues(path: Path, config: Config, *, may_grow: bool = False) -> bool:
    """See that `Run.open` would not refuse a folder; nothing is written.

    Args:
        path: As there, and so are
        config: what is asked, and
        may_grow: whether trials or time may be more.

    Returns:
        Whether they would be more than before.

    Raises:
        UserError: As there.
    """
    _refuse_no_run(path)
    if not (path / CONFIG).exists():
        return False
    _, old, new = _compared(path, config, may_grow)
    grows = only_grows(old, new)
    if grows:
        check_growth(path, old, new)
    return grows


def _refuse_no_run(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(f"run '{path}' is a file. Name a folder with --out.")
    if path.exists() and not (path / CONFIG).exists() and any(_foreign(path)):
        raise UserError(
            f"run '{path}': the folder is not empty and has no config.toml: no run. "
            "Name another folder with --out."
        )


def _compared(
    path: Path, config: Config, may_grow: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Settings of a run's config.toml, the same with what may change, and those that are asked.

    Raises:
        UserError: If the last two differ in what may not change.
    """
    file = path / CONFIG
    with understood(f"'{file}'", "or begin a new run with --out"):
        known = with_defaults(tomllib.loads(file.read_text(encoding="utf-8")))
    new = tomllib.loads(config.to_toml())
    old = {name: new[name] if may_change(name, v, new[name]) else v for name, v in known.items()}
    changed = differences(old, new)
    if changed and not (may_grow and only_grows(old, new)):
        raise UserError(
            f"run '{path}': the configuration differs from the one in its config.toml, "
            f"with which it was started: {'; '.join(changed)}.\n"
            "  Use a new directory, or restore the old value to continue."
        )
    return known, old, new


def check_is_run(path: Path) -> None:
    """See that a folder is a run, finished or not.

    Raises:
        UserError: If it is none.
    """
    if not (path / CONFIG).is_file():
        raise UserError(
            f"run '{path}': there is no config.toml, so this is not a run directory. "
            "Name the folder that `nas search` printed as its run."
        )


def _foreign(path: Path) -> list[Path]:
    ours = {LOCK, LOCK_HOLDER, DATA_FILE, f".{DATA_FILE}.part", ".config.toml.part"}
    return [entry for entry in path.iterdir() if entry.name not in ours]


def locked(path: Path) -> BaseFileLock:
    """The lock of a folder, held until it is released; the system does so when the process ends.

    Raises:
        UserError: If another process has it.
    """
    lock, holder = file_lock(path / LOCK), path / LOCK_HOLDER
    try:
        with understood(f"'{path / LOCK}'"):
            lock.acquire(blocking=False)
    except Timeout as error:
        text = "unknown"
        with suppress(OSError):
            text = holder.read_text(encoding="utf-8", errors="replace").strip() or text
        raise UserError(
            f"run '{path}': process {text} is at work on it. "
            "Wait for it, or name another folder with --out."
        ) from error
    with suppress(OSError):  # on a full disk the lock holds all the same
        text = f"{os.getpid()} (on '{socket.gethostname()}', since {now()})\n"
        holder.write_text(text, encoding="utf-8")
    return lock


def _score_json(score: Score) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "metrics": dict(score.metrics),
        "failure": score.failure,
        "host": dict(score.host or this_host()),
    }


def log_step(log: Path, numbers: Mapping[str, float], steps: int) -> None:
    """Record the numbers of a training step, if it is one of about a hundred, or the last."""
    step = int(numbers["step"])
    if step % max(1, steps // LOG_LINES) == 0 or step == steps:
        append_line(log, {name: float(f"{v:.6g}") for name, v in numbers.items()})


def read_front(path: Path) -> dict[str, Any]:
    """The front.json of a finished run."""
    return read_json(path / "front.json")


def read_space(path: Path) -> SearchSpace:
    """The space that a run searches: that of its supernet, without what --fix leaves out."""
    if (path / SEARCHED_SPACE).exists():
        return _space_in(path / SEARCHED_SPACE)
    return read_trained_space(path)


def read_trained_space(path: Path) -> SearchSpace:
    """The space of a run's supernet: trimmed, and without what its training gave up.

    Operators of plug-ins are those that the run keeps.
    """
    is_shrunk = (path / TRAINED_SPACE).exists() and (path / WEIGHTS).exists()
    return _space_in(path / (TRAINED_SPACE if is_shrunk else SPACE))


def read_begun_space(path: Path) -> SearchSpace:
    """The space that a run's training begins with."""
    return _space_in(path / SPACE)


def _space_in(file: Path) -> SearchSpace:
    document = read_json(file)
    load_named(file.parent, json.dumps(document, ensure_ascii=False))
    with understood(f"'{file}'"):
        space = SearchSpace.from_json(document)
        space.candidate([0] * len(space.choices))  # what is wrong in it would show only later
        return space


def read_config_of(path: Path) -> Config:
    """The configuration that a run was started with; its plug-ins are not loaded."""
    return Config(**read_config(path / "config.toml"))
