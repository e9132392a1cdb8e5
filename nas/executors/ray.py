"""Scores as tasks on a Ray cluster, or on a Ray of this process's own.

The supernet and the images lie in the object store, once per node; a task gets an encoding and a
reference. A task whose process or node dies is started once more by Ray, then its candidate is a
failed one. Files are timed where nothing else runs: on the node that carries the target's resource
(`target:onnxruntime`), or on this machine.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, final

from nas.executors import _cluster
from nas.executors._base import EXECUTORS, TRIES, AbstractExecutor, Scoring, Session, check_limit
from nas.problem.trial import Score
from nas.system.environment import num_cores
from nas.targets import TimesFiles, Timing, target_name
from search_spaces import Candidate, CandidateError, UserError, loaded_plugins
from supernets.device import is_cpu


@final
@EXECUTORS.register
@dataclass(frozen=True, kw_only=True)
class Ray(AbstractExecutor):
    """Ray tasks.

    Attributes:
        workers: Scores at the same time; 0 for one per core of the cluster.
        ray_address: "auto" or HOST:PORT of a cluster; "" for a Ray of this process's own.
        score_limit_s: Seconds that one score may take.
    """

    workers: int = 0
    is_local: ClassVar[bool] = False
    place: ClassVar[str] = "the Ray cluster, with this process,"
    ray_address: str = ""
    score_limit_s: float = 300.0

    def __post_init__(self) -> None:
        check_limit("ray", self.score_limit_s)
        _cluster.check_address(self.ray_address)

    @property
    def at_once(self) -> int:
        """As many as were asked for, or one per core."""
        return self.workers or self.num_cores

    @cached_property
    def num_cores(self) -> int:
        """Of all nodes together."""
        if not self.ray_address:
            return num_cores()
        with _cluster.connected(self.ray_address) as ray:
            return max(1, int(sum(node.get("CPU", 0) for node in _cluster.nodes(ray))))

    def check(self) -> None:
        """See `AbstractExecutor.check`."""
        if self.ray_address:
            with _cluster.connected(self.ray_address):
                pass
        else:
            _cluster.check_installed()

    @contextmanager
    def session(self, scoring: Scoring) -> Iterator[Session]:
        """See `AbstractExecutor.session`.

        Raises:
            UserError: If a node has too little shared memory.
        """
        with _cluster.connected(self.ray_address, num_cpus=self.at_once) as ray:
            bundle = bundle_of(scoring, limit_s=self.score_limit_s)
            _check_fits(bundle.num_bytes, _cluster.nodes(ray))
            tasks = _Tasks(ray, bundle, self.at_once)
            try:
                yield tasks
            finally:
                tasks.cancel()

    def timer(self, target: str, threads: int) -> TimesFiles:
        """See `AbstractExecutor.timer`."""
        here = super().timer(target, threads)
        return partial(_timed, self, here, target, threads) if self.ray_address else here

    def num_devices(self, device: str) -> int:
        """Those of all nodes, and of this process."""
        if not self.ray_address:
            return super().num_devices(device)
        name = "CPU" if is_cpu(device) else "GPU"
        with _cluster.connected(self.ray_address) as ray:
            return 1 + int(sum(node.get(name, 0) for node in _cluster.nodes(ray)))

    def ranks(self, num: int, device: str) -> AbstractContextManager[None]:
        """On nodes of the cluster; see `AbstractExecutor.ranks`."""
        if not self.ray_address:
            return super().ranks(num, device)
        return _ranks(self.ray_address, num, device)


@contextmanager
def _ranks(address: str, num: int, device: str) -> Iterator[None]:
    """Ranks, while this process is connected."""
    from nas.executors._ray_ranks import ranks_on

    with _cluster.connected(address) as ray, ranks_on(ray, num, device):
        yield


def bundle_of(scoring: Scoring, *, limit_s: float) -> "Any":
    """What nodes need of a run with a trained supernet."""
    from nas.executors._ray_tasks import Bundle
    from nas.scoring.scorer import CALIBRATION_IMAGES

    data, scorer = scoring.data, scoring.scorer
    nothing = data.train.take(0)
    few = replace(
        data,
        train=nothing,
        test=nothing,
        search=data.search.take(scorer.num_images).copied(),
        calibration=data.calibration.take(CALIBRATION_IMAGES).copied(),
    )
    weights = scorer.supernet.state_dict()
    return Bundle(
        space=scorer.supernet.space.to_json(),
        weights={name: tensor.numpy() for name, tensor in weights.items()},
        data=few,
        images_per_score=scorer.num_images,
        needs_reduced_range=scorer.needs_reduced_range,
        calibrated_by=scorer.calibrated_by,
        limit_s=limit_s,
        plugins=loaded_plugins(),
    )


def _check_fits(num_bytes: int, nodes: Sequence[Mapping[str, float]]) -> None:
    """Refuse a bundle that some node cannot hold in shared memory.

    Raises:
        UserError: If there is such a node.
    """
    least = min(node.get("object_store_memory", 0.0) for node in nodes if node.get("CPU", 0))
    if num_bytes > least:
        raise UserError(
            f"the supernet and the images of a score take {num_bytes / 1e6:.0f} MB, and a node of "
            f"the Ray cluster has {least / 1e6:.0f} MB of object store. Start nodes with more, "
            "`ray start --object-store-memory=BYTES`, or lower --set images_per_score."
        )


class _Tasks:
    """Scores that run on the cluster, and those that wait here for one of them to end."""

    def __init__(self, ray: Any, bundle: Any, at_once: int) -> None:
        from nas.executors._ray_tasks import score

        self._ray = ray
        self._limit_s = bundle.limit_s
        self._bundle = [ray.put(bundle)]
        self._score = ray.remote(score).options(num_cpus=1, max_retries=TRIES - 1)
        self._at_once = at_once
        self._running: dict[Any, Candidate] = {}
        self._waiting: deque[Candidate] = deque()

    def start(self, candidate: Candidate) -> None:
        """See `Session.start`."""
        self._waiting.append(candidate)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and len(self._running) < self._at_once:
            candidate = self._waiting.popleft()
            self._running[self._score.remote(self._bundle, candidate.encoding)] = candidate

    def finished(self) -> tuple[str, Score]:
        """See `Session.finished`."""
        (task,), _ = self._ray.wait(list(self._running), num_returns=1)
        key = self._running.pop(task).key
        self._hand_out()
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(task)
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
            reason = f"died or took longer than {self._limit_s:g} s"
            failure = f"the process that scored it {reason}, {TRIES} times"
            return key, Score({}, failure=failure)
        except errors.RayTaskError as error:
            raise (_cluster.understood_failure(error) or error) from error
        return key, Score(answer["metrics"], failure=answer["failure"], host=answer["host"])

    def cancel(self) -> None:
        """Ends what still runs."""
        for task in self._running:
            self._ray.cancel(task, force=True)


def _timed(
    executor: Ray,
    here: TimesFiles,
    target: str,
    threads: int,
    files: Sequence[Path],
    **options: Any,
) -> list[Timing | CandidateError]:
    """Files timed where nothing else runs; see `TimesFiles`.

    On a node that carries the target's resource, or else on this machine: as a task that takes all
    cores of the node, so that it waits for scores there, and they for it.
    """
    from nas.executors._ray_tasks import time_files

    with _cluster.connected(executor.ray_address) as ray:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        label = f"target:{target_name(target)}"
        node = _timing_node(ray, label)
        if node is None:
            return here(files, **options)
        task = ray.remote(time_files).options(
            num_cpus=math.floor(node["Resources"].get("CPU", 0)),
            resources={label: node["Resources"][label]} if label in node["Resources"] else None,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            max_retries=TRIES - 1,
        )
        contents = [file.read_bytes() for file in files]
        try:
            asked = {**options, "threads": threads}
            rows = ray.get(task.remote(contents, target, asked, loaded_plugins()))
        except ray.exceptions.RayTaskError as error:
            raise (_cluster.understood_failure(error) or error) from error
        except ray.exceptions.RayError as error:
            raise UserError(
                f"the node of the Ray cluster that timed files, '{node['NodeManagerHostname']}', "
                f"has gone: {str(error).splitlines()[0]} The same command continues."
            ) from error
    return [
        CandidateError(row["error"]) if "error" in row else Timing.from_json(row) for row in rows
    ]


def _timing_node(ray: Any, label: str) -> Mapping[str, Any] | None:
    """The node on which files are timed; None for in this process, because no task runs beside."""
    living = sorted(
        (node for node in ray.nodes() if node["Alive"]),
        key=lambda node: (node["NodeManagerHostname"], node["NodeID"]),
    )
    mine = ray.get_runtime_context().get_node_id()
    labelled = [node for node in living if label in node["Resources"]]
    here = [n for n in living if n["NodeID"] == mine and n["Resources"].get("CPU", 0) >= 1]
    return next(iter(labelled or here), None)
