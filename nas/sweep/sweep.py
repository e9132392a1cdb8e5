"""`nas sweep`: many searches over a Ray cluster, each an ordinary run directory.

sweep.toml -> supernets, each trained once -> searches, each on a node of its own -> report

Ray Tune decides what runs where and when, and tries again what failed. A search takes all cores of
its node, so that no other is scored while its files are timed.

    sweep.toml      what was asked; a sweep continues only with the same
    plugins/        its plug-ins, likewise
    sweep.json      the searches and supernets that it comes to, decided once
    outcomes.json   how each ended
    supernets/      runs up to their trained supernet
    runs/           runs
    tune/           Ray Tune's own records, made anew by every command
    report.html, sweep.parquet
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nas.executors._cluster import connected, nodes
from nas.run.config import DEFAULT_TIME, Config, make_config
from nas.run.directory import locked
from nas.run.own_files import keep_plugins
from nas.sweep.file import read_sweep
from nas.sweep.jobs import (
    FAILED,
    OUTCOMES,
    PLAN,
    RUNS,
    SUPERNETS,
    Outcomes,
    SweepJob,
    Watcher,
    with_tuples,
)
from nas.sweep.plan import Search, Sweep
from nas.sweep.storage import fetch
from nas.system.environment import num_cores
from nas.system.files import make_folder, read_json, write_json, write_text
from nas.system.text import parse_time
from search_spaces import UserError, loaded_plugins

SWEEP_FILE, TUNE = "sweep.toml", "tune"


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
        UserError: If the file has a mistake, a plug-in has changed, or the folder belongs to
            another sweep.
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
    plugins = {file for search in sweep.searches for file in search.settings.get("plugins", ())}
    keep_plugins(out, plugins, "sweep")
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
    with ExitStack() as stack:
        stack.callback(locked(out).release)
        ray = stack.enter_context(connected(ray_address, num_cpus=num_cores()))
        from nas.sweep import tune  # imports Ray

        resources = tune.resources_of(nodes(ray), options.cores, [*supernets, *searches.values()])

        def do(outcomes: Outcomes, jobs: Sequence[SweepJob]) -> None:
            tune.run_jobs(
                outcomes, jobs, options, resources, deadline, folder=out / TUNE / outcomes.stage
            )

        trained = Outcomes(out / OUTCOMES, SUPERNETS, watcher)
        do(trained, supernets)
        found = Outcomes(out / OUTCOMES, RUNS, watcher)
        ready = []
        for search in sweep.searches:
            if search.supernet in trained.failures:
                text = f"supernet '{search.supernet}' failed: {trained.failures[search.supernet]}"
                found.ended(search.name, FAILED, text)
            elif search.supernet in trained.finished:
                ready.append(searches[search.name])
        do(found, ready)
    return found.statuses


def _place(sweep: Sweep, out: Path, *names: str) -> str:
    """Where a folder of the sweep is for all nodes."""
    return "/".join([sweep.options.storage.rstrip("/") or str(out), *names])


def fetch_runs(sweep: Sweep, out: Path, names: Iterable[str]) -> None:
    """Copy runs into the sweep's folder from where they are kept."""
    for name in names if sweep.options.storage else ():
        fetch(_place(sweep, out, RUNS, name), out / RUNS / name)


def _supernet_job(name: str, sweep: Sweep, out: Path) -> SweepJob:
    config = _config(sweep.supernets[name], sweep, out)
    return SweepJob(
        name=name,
        config=config,
        out=_place(sweep, out, SUPERNETS, name),
        is_supernet=True,
        plugins=loaded_plugins(),
    )


def _search_job(search: Search, sweep: Sweep, out: Path) -> SweepJob:
    supernet = _place(sweep, out, SUPERNETS, search.supernet)
    config = _config({**search.settings, "supernet": supernet}, sweep, out)
    return SweepJob(
        name=search.name,
        config=config,
        out=_place(sweep, out, RUNS, search.name),
        is_supernet=False,
        plugins=loaded_plugins(),
    )


def _config(settings: Mapping[str, Any], sweep: Sweep, out: Path) -> Config:
    """The configuration, with decoded images where every node finds them, if there is a place."""
    shared = {} if sweep.options.storage else {"cache": str(out / ".cache")}
    return make_config({**shared, **with_tuples(settings)})
