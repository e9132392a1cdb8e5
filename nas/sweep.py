"""`nas sweep`: many searches over a Ray cluster, each an ordinary run directory.

sweep.toml -> supernets, each trained once -> searches, each on a node of its own -> report

Ray Tune decides what runs where and when, and tries again what failed. A search takes all cores of
its node, so that no other is scored while its files are timed.

    sweep.toml      what was asked; a sweep continues only with the same
    sweep.json      the searches and supernets that it comes to, decided once
    outcomes.json   how each ended
    supernets/      runs up to their trained supernet
    runs/           runs
    tune/           Ray Tune's own records, made anew by every command
    report.html, sweep.parquet
"""

import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from nas._files import make_folder, read_json, write_json, write_text
from nas.config import DEFAULT_TIME, Config, make_config, parse_time
from nas.environment import num_cores
from nas.executors._cluster import connected, nodes
from nas.run import locked
from nas.storage import fetch
from nas.sweep_file import Options, Search, Sweep, read_sweep
from search_spaces import UserError

SWEEP_FILE, PLAN, OUTCOMES = "sweep.toml", "sweep.json", "outcomes.json"
SUPERNETS, RUNS, TUNE = "supernets", "runs", "tune"
FINISHED, FAILED = "finished", "failed"
TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends this process like any other
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # what it prints would be among ours
}


class Watcher(Protocol):
    """Told what becomes of the jobs of a sweep."""

    def begin(self, stage: str, names: Sequence[str]) -> None:
        """These are to be done now."""

    def started(self, name: str) -> None:
        """One runs."""

    def ended(self, name: str, status: str, text: str) -> None:
        """One is "finished" or has "failed"; a line about it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one Tune trial does.

    Attributes:
        name: Of its folder.
        config: Of the run.
        out: The run directory, or its URL.
        is_supernet: Whether it ends with the trained supernet.
    """

    name: str
    config: Config
    out: str
    is_supernet: bool

    def to_text(self) -> str:
        """The job as a line of JSON."""
        return json.dumps({**vars(self), "config": asdict(self.config)})

    @staticmethod
    def from_text(text: str) -> "Job":
        """The inverse of `to_text`."""
        document = json.loads(text)
        return Job(**{**document, "config": Config(**_tuples(document["config"]))})


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as `Config` has them, of which JSON has made lists."""
    return {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}


def estimate_s(sweep: Sweep) -> tuple[float, float]:
    """Seconds that all supernets, and all searches, were given, one after the other."""
    times = [parse_time(str(s.settings.get("time", DEFAULT_TIME))) for s in sweep.searches]
    return len(sweep.supernets) * parse_time(sweep.options.supernet_time), sum(times)


def opened(path: Path, out: Path, *, must_exist: bool = False) -> Sweep:
    """The sweep in a folder, begun now if there is none.

    Args:
        path: sweep.toml.
        out: The sweep's folder.
        must_exist: Whether to refuse to begin one.

    Raises:
        UserError: If the file has a mistake, or the folder belongs to another sweep.
    """
    kept = out / SWEEP_FILE
    if must_exist and not kept.exists():
        raise UserError(f"there is no sweep in '{out}' to resume. Leave out --resume to begin one.")
    if not kept.exists() and out.exists() and any(out.iterdir()):
        raise UserError(
            f"sweep '{out}': the folder is not empty and has no {SWEEP_FILE}. "
            "Name another with --out."
        )
    sweep = read_sweep(path)
    text = path.read_text(encoding="utf-8")
    if kept.exists() and kept.read_text(encoding="utf-8") != text:
        raise UserError(
            f"sweep '{path}' is not the one that '{out}' was begun with, which is kept in its "
            f"{SWEEP_FILE}. Name a new folder with --out, or restore the file."
        )
    make_folder(out)
    if not kept.exists():
        write_text(kept, text)
    if not (out / PLAN).exists():
        write_json(out / PLAN, sweep.to_json())
    return Sweep.from_json(read_json(out / PLAN))


def run_sweep(sweep: Sweep, out: Path, *, ray_address: str, watcher: Watcher) -> dict[str, str]:
    """Run or continue a sweep.

    Args:
        sweep: What is to be done.
        out: Its folder, which every node can write.
        ray_address: "auto" or HOST:PORT of a cluster; "" for a Ray of this process's own.
        watcher: Told how it goes.

    Returns:
        "finished" or "failed" by the name of every search that has ended.

    Raises:
        UserError: If another process is at work on it, there is no such cluster, or its nodes
            cannot take a search each.
    """
    out = out.resolve()
    options = sweep.options
    deadline = time.monotonic() + parse_time(options.time_limit) if options.time_limit else math.inf
    supernets = [_supernet_job(name, sweep, out) for name in sweep.supernets]
    searches = {search.name: _search_job(search, sweep, out) for search in sweep.searches}
    with closing(locked(out)), connected(ray_address, num_cpus=num_cores()) as ray:
        resources = _resources(nodes(ray), options.cores, [*supernets, *searches.values()])
        trained = Outcomes(out / OUTCOMES, SUPERNETS, watcher)
        _tune(trained, supernets, options, resources, deadline)
        found = Outcomes(out / OUTCOMES, RUNS, watcher)
        ready = []
        for search in sweep.searches:
            if search.supernet in trained.failures:
                text = f"supernet '{search.supernet}' failed: {trained.failures[search.supernet]}"
                found.ended(search.name, FAILED, text)
            elif search.supernet in trained.finished:
                ready.append(searches[search.name])
        _tune(found, ready, options, resources, deadline)
    return found.statuses


def _place(sweep: Sweep, out: Path, *names: str) -> str:
    """Where a folder of the sweep is for all nodes."""
    return "/".join([sweep.options.storage.rstrip("/") or str(out), *names])


def fetch_runs(sweep: Sweep, out: Path, names: Iterable[str]) -> None:
    """Copy runs into the sweep's folder from where they are kept."""
    for name in names if sweep.options.storage else ():
        fetch(_place(sweep, out, RUNS, name), out / RUNS / name)


def _supernet_job(name: str, sweep: Sweep, out: Path) -> Job:
    config = _config(sweep.supernets[name], sweep, out)
    return Job(name=name, config=config, out=_place(sweep, out, SUPERNETS, name), is_supernet=True)


def _search_job(search: Search, sweep: Sweep, out: Path) -> Job:
    supernet = _place(sweep, out, SUPERNETS, search.supernet)
    config = _config({**search.settings, "supernet": supernet}, sweep, out)
    return Job(
        name=search.name,
        config=config,
        out=_place(sweep, out, RUNS, search.name),
        is_supernet=False,
    )


def _config(settings: Mapping[str, Any], sweep: Sweep, out: Path) -> Config:
    """The configuration, with decoded images where every node finds them, if there is a place."""
    shared = {} if sweep.options.storage else {"cache": str(out / ".cache")}
    return make_config({**shared, **_tuples(settings)})


def _resources(
    nodes: Sequence[Mapping[str, float]], cores: int, jobs: Iterable[Job]
) -> dict[str, dict[str, float]]:
    """What a job takes of a node, by its target: so much that no second one fits beside it.

    Where nodes carry a target's label (`target:NAME`), jobs with that target run there alone.

    Raises:
        UserError: If no node, or more than one job to a node, has room.
    """
    found = {}
    for target in {job.config.target for job in jobs}:
        label = f"target:{target}"
        own = [node for node in nodes if label in node] or nodes
        sizes = [int(node.get("CPU", 0)) for node in own]
        wanted = cores or max(sizes, default=0)
        if not any(size >= wanted > 0 for size in sizes):
            those = f"that carry '{label}' " if own is not nodes else ""
            raise UserError(
                f"a search of a sweep takes {wanted or 'all'} cores of a node, at least one, and "
                f"the nodes {those}have {sizes}. Lower cores in [sweep], or give a node more cores."
            )
        if any(size >= 2 * wanted for size in sizes):
            raise UserError(
                f"[sweep] cores is {wanted}, and a node has {max(sizes)}: two searches would run "
                f"on it and disturb each other's timing. Set cores to more than {max(sizes) // 2}."
            )
        labels = [node[label] for node in own if label in node]
        found[target] = {"CPU": wanted, **({label: min(labels)} if labels else {})}
    return found


def _tune(
    outcomes: "Outcomes",
    jobs: Sequence[Job],
    options: Options,
    resources: Mapping[str, Mapping[str, float]],
    deadline: float,
) -> None:
    """Have Ray Tune do the jobs that are not finished.

    Always by a new Tuner: a job continues by its own run directory (see docs/decisions/0020).
    """
    waiting = [job for job in jobs if job.name not in outcomes.finished]
    left_s = deadline - time.monotonic()
    if not waiting or left_s <= 0.0:
        return
    outcomes.begin([job.name for job in waiting])
    os.environ.update(TUNE_ENVIRONMENT)
    from ray import tune

    from nas import _sweep_trial

    shutil.rmtree(outcomes.tune_folder, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(
            _sweep_trial.run_job,
            lambda config: tune.PlacementGroupFactory(
                [dict(resources[Job.from_text(config["job"]).config.target])]
            ),
        ),
        param_space={"job": tune.grid_search([job.to_text() for job in waiting])},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=options.concurrency or None,
            time_budget_s=None if math.isinf(left_s) else left_s,
            trial_name_creator=_sweep_trial.name_of,
            trial_dirname_creator=_sweep_trial.name_of,
        ),
        run_config=tune.RunConfig(
            name=outcomes.tune_folder.name,
            storage_path=str(outcomes.tune_folder.parent),
            failure_config=tune.FailureConfig(max_failures=options.max_failures),
            callbacks=[_sweep_trial.Tell()],
            verbose=0,
        ),
    )
    with _sweep_trial.told(outcomes):
        tuner.fit()


class Outcomes:
    """outcomes.json, kept while jobs of one stage end."""

    def __init__(self, path: Path, stage: str, watcher: Watcher) -> None:
        self._path = path
        self._stage = stage
        self._watcher = watcher
        nothing: dict[str, Any] = {"schema": 1, SUPERNETS: {}, RUNS: {}}
        self._document = read_json(path) if path.exists() else nothing
        self.tune_folder = path.parent / TUNE / stage

    @property
    def statuses(self) -> dict[str, str]:
        """Of the jobs of this stage that have ended."""
        return {name: found["status"] for name, found in self._document[self._stage].items()}

    @property
    def finished(self) -> set[str]:
        """Those that ended well."""
        return {name for name, status in self.statuses.items() if status == FINISHED}

    @property
    def failures(self) -> dict[str, str]:
        """What those said that did not."""
        found = self._document[self._stage].items()
        return {name: row["error"] for name, row in found if row["status"] == FAILED}

    def begin(self, names: Sequence[str]) -> None:
        """These jobs are to be done."""
        self._watcher.begin(self._stage, names)

    def started(self, name: str) -> None:
        """A job runs."""
        self._watcher.started(name)

    def ended(self, name: str, status: str, text: str) -> None:
        """A job has ended."""
        error = text if status == FAILED else ""
        self._document[self._stage][name] = {"status": status, "error": error}
        write_json(self._path, self._document)
        self._watcher.ended(name, status, text)
