"""The executor on a real cluster of two nodes: what dies, what is refused, where files are timed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.executors import Session
from nas.executors._cluster import connected, imported
from nas.executors.ray import Ray
from nas.prepare.reopen import Trained, reopened
from nas.search_flow import score_candidates
from nas.system.reporter import Silent
from search_spaces import Candidate, UserError

pytestmark = pytest.mark.long
LABEL = "target:onnxruntime"
STORE_BYTES = 100 << 20
ROOT = Path(__file__).parents[3]
DRIVEN = 12
"""Trials of a search whose driver is killed."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head of two cores, and another node of one, which carries the target's label.

    This process stays connected, so that nodes import our code once.
    """
    imported()
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    found.add_node(num_cpus=1, object_store_memory=STORE_BYTES, resources={LABEL: 1})
    with connected(found.address):
        yield found
    found.shutdown()


@pytest.fixture
def executor(cluster: Any) -> Ray:
    return Ray(workers=2, ray_address=cluster.address)


@pytest.fixture
def trained(own_run: Path) -> Trained:
    return reopened(own_run, Silent())


def candidates(trained: Trained, num: int) -> list[Candidate]:
    space = trained.problem.space
    encodings = [[i % n for n in space.cardinalities] for i in range(num)]
    return list({c.key: c for c in map(space.candidate, encodings)}.values())


def scored(session: Session, wanted: list[Candidate]) -> dict[str, Any]:
    for candidate in wanted:
        session.start(candidate)
    return dict(session.finished() for _ in wanted)


def workers_at_work() -> list[int]:
    """Processes that score at this moment."""
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if " ray::score" in line]


def test_a_cluster_gives_the_records_of_this_process(
    executor: Ray, trained: Trained, own_run: Path
) -> None:
    written = []
    for address in ("", executor.ray_address):
        for path in [own_run / "trials.jsonl", *own_run.glob("measurements/*")]:
            path.unlink(missing_ok=True)
        kind = "ray" if address else "inline"
        config = replace(trained.config, executor=kind, workers=2, ray_address=address, trials=8)
        phases = replace(trained.phases, trials=8, lag=3)
        score_candidates(replace(trained, config=config, phases=phases), Silent())
        written.append((own_run / "trials.jsonl").read_bytes())
    assert written[0] == written[1]
    assert written[0].count(b"\n") == 8
    record = json.loads(next(iter(own_run.glob("measurements/*"))).read_text())
    assert {"name", "cpu", "instruction_set", "versions"} <= set(record["host"])


def test_a_worker_that_is_killed_and_a_full_object_store_cost_nothing(
    executor: Ray, trained: Trained
) -> None:
    wanted = candidates(trained, 6)
    with executor.session(trained.scoring) as session, connected(executor.ray_address) as ray:
        import numpy as np

        held = [ray.put(np.zeros(STORE_BYTES // 3, np.uint8)) for _ in range(5)]
        for candidate in wanted:
            session.start(candidate)
        deadline = time.monotonic() + 60.0
        while not (at_work := workers_at_work()) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(at_work[0], signal.SIGKILL)
        found = dict(session.finished() for _ in wanted)
        assert len(held) == 5
    assert found == {candidate.key: trained.scorer(candidate) for candidate in wanted}


def test_a_score_that_is_stuck_twice_is_a_failure(executor: Ray, trained: Trained) -> None:
    (candidate,) = candidates(trained, 1)
    with replace(executor, score_limit_s=1e-4).session(trained.scoring) as session:
        found = scored(session, [candidate])
    reason = "the process that scored it died or took longer than 0.0001 s, 2 times"
    assert found[candidate.key].failure == reason


def test_a_node_that_is_removed_costs_nothing(
    cluster: Any, executor: Ray, trained: Trained
) -> None:
    node = cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
    wanted = candidates(trained, 8)
    with replace(executor, workers=5).session(trained.scoring) as session:
        for candidate in wanted:
            session.start(candidate)
        found = dict([session.finished()])
        cluster.remove_node(node, allow_graceful=False)
        found |= dict(session.finished() for _ in wanted[1:])
    assert found == {candidate.key: trained.scorer(candidate) for candidate in wanted}


def test_a_supernet_that_no_object_store_holds_is_refused(
    executor: Ray, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.executors._ray_tasks.Bundle.num_bytes", STORE_BYTES + 1)
    with (
        pytest.raises(UserError, match=r"take 105 MB, and a node .* has 105 MB of object store"),
        executor.session(trained.scoring),
    ):
        pass


def test_files_are_timed_on_the_labelled_node_and_not_beside_a_score(
    executor: Ray, finished_run: Path
) -> None:
    assert executor.num_cores >= 3
    files = sorted(finished_run.glob("front/*/model.onnx"))[:1]
    with connected(executor.ray_address) as ray:

        @ray.remote(num_cpus=1, resources={LABEL: 0.01})
        def busy() -> float:
            time.sleep(2.0)
            return time.time()

        running = busy.remote()
        time.sleep(1.0)
        good, bad = executor.timer("onnxruntime", 1)(
            [*files, Path(__file__)], processes=1, budget_s=1.0
        )
        ended = ray.get(running)
    started = good.measured_at  # type: ignore[union-attr]
    assert started > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ended))
    assert good.median_ms > 0.0  # type: ignore[union-attr]
    assert "cannot be loaded" in str(bad)


def drive(run: Path, address: str) -> None:
    """Scores the candidates of a run on a cluster."""
    trained = reopened(run, Silent())
    config = replace(trained.config, executor="ray", workers=2, ray_address=address)
    phases = replace(trained.phases, trials=DRIVEN, lag=3)
    score_candidates(replace(trained, config=config, phases=phases), Silent())


def test_a_driver_that_is_killed_is_continued(cluster: Any, own_run: Path) -> None:
    for path in [own_run / "trials.jsonl", *own_run.glob("measurements/*")]:
        path.unlink(missing_ok=True)
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.nas.executors.test_ray import drive\n"
        "drive(Path(sys.argv[1]), sys.argv[2])"
    )
    command = [sys.executable, "-c", program, str(own_run), cluster.address]
    driver = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 120.0
    while not (own_run / "trials.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in own_run.glob("measurements/*")}
    assert 0 < len(kept) < DRIVEN
    drive(own_run, cluster.address)
    assert len((own_run / "trials.jsonl").read_text().splitlines()) == DRIVEN
    after = {path.name: path.stat().st_mtime_ns for path in own_run.glob("measurements/*")}
    assert kept.items() <= after.items()
