"""What Ray costs: per score, per trial in the driver, and in memory.

    python benchmarks/cluster.py RUN [--scores 40] [--rounds 3] [--trials 10000]

RUN is a finished run. First, the same random candidates on `inline` and on `ray` with one and two
workers, interleaved; starting Ray is not counted. Then a search whose scores do nothing, on a
cluster of two nodes on this machine: what the driver does per trial, and whether its memory grows.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from executors import drawn, scored

from nas.executors import EXECUTORS
from nas.prepare.reopen import Trained, reopened
from nas.run.directory import Run
from nas.search_flow import score_candidates
from nas.system.reporter import Silent

LOOKS = 5
CONTROLLERS = ("random", "evolution")


def nothing(bundle: Any, encoding: Any) -> dict[str, Any]:
    """A score that takes no time."""
    loss = float(sum(encoding) % 97) / 97
    return {"metrics": {"log_loss": loss, "accuracy": 1 - loss}, "failure": None, "host": {}}


def main() -> None:
    """Prints everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--scores", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=10_000)
    arguments = parser.parse_args()
    trained = reopened(arguments.run, Silent())
    rates(trained, arguments.scores, arguments.rounds)
    for controller in CONTROLLERS:
        driver(trained, controller, arguments.trials)


def rates(trained: Trained, scores: int, rounds: int) -> None:
    """Milliseconds per score, one at a time and two."""
    candidates = drawn(trained.problem, scores + 2)
    found: dict[str, list[float]] = {"inline": [], "ray 1": [], "ray 2": []}
    for _ in range(rounds):
        for name, seconds in found.items():
            kind, _, workers = name.partition(" ")
            executor = EXECUTORS.get(kind)(workers=int(workers or 1))
            with executor.session(trained.scoring) as session:
                scored(session, candidates[:2])
                if workers == "2":
                    seconds.append(scored(session, candidates[2:]))
                else:
                    seconds.append(sum(scored(session, [one]) for one in candidates[2:]))
    for name, seconds in found.items():
        ms = 1e3 * statistics.median(seconds) / scores
        ratio = statistics.median(a / b for a, b in zip(found["inline"], seconds, strict=True))
        print(f"{name:8} {ms:.1f} ms per score, {ratio:.2f}x of inline's rate", flush=True)


def driver(trained: Trained, controller: str, trials: int) -> None:
    """Time and memory of the driver while scores do nothing."""
    from ray.cluster_utils import Cluster

    from nas.executors import _ray_tasks

    _ray_tasks.score = nothing
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        path.mkdir()
        shutil.copy(trained.run.path / "config.toml", path)
        run = Run.open(path, trained.config)
        for number in np.linspace(0, trials, LOOKS + 1).astype(int)[1:].tolist():
            config = replace(
                trained.config,
                executor="ray",
                workers=2,
                ray_address=cluster.address,
                controller=controller,
                set={},
            )
            phases = replace(trained.phases, trials=number, lag=8)
            done = len(run.trials(trained.problem.space))
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            score_candidates(replace(trained, run=run, config=config, phases=phases), Silent())
            wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
            mb = resident_mb()
            print(
                f"{controller}, trials {done} to {number}: {1e3 * wall_s / (number - done):.1f} ms "
                f"each, {1e3 * cpu_s / (number - done):.1f} ms of the driver's processor time, "
                f"{mb:.0f} MB resident, {peak_mb():.0f} MB at most",
                flush=True,
            )
    cluster.shutdown()


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """The most that it ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
