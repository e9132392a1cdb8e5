"""Short speed tests, from which plans are made: how long steps, scores and answers take here."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from compress.export import INPUT, export_onnx
from nas.data._base import DataSet
from nas.problem.feasible import largest_member, sample_within
from nas.problem.problem import Problem
from nas.scoring.scorer import Scorer
from search_spaces import DEFAULT_CALIBRATION, Candidate, CandidateError, UserError
from supernets._group import is_commanding, num_ranks, num_ranks_here
from supernets.device import CPU, free_memory, is_cpu, is_out_of_memory
from supernets.images import Images
from supernets.methods._base import AbstractMethod
from supernets.pace import fastest, paces, seconds_per_step
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet

CYCLE = 4
"""Steps after which training methods have taught members of all sizes about equally."""

MANY_STEPS, SUPERNET_STEPS, LARGEST_BATCH = 800, 400, 256
"""A batch grows while the training of a network alone, or of a supernet, keeps so many steps."""

LEAST_BATCHES = 10
"""Of a pass over the training images."""

LEAST_PART = 4
"""Images of a batch whose statistics batch norm can use."""

SPEED_CANDIDATES, SPEED_IMAGES = 4, 256
Tested = TypeVar("Tested")

VERIFIED_AT_ONCE = 64
"""Images that the verifying process asks a file at a time."""


def time_steps(
    supernet: Supernet,
    images: Images,
    plan: TrainPlan,
    method: AbstractMethod,
    *,
    processes: int = 0,
    cycles: int = 1,
) -> float:
    """Mean seconds per step of the supernet's training: members differ, and so do their steps.

    The mean over a method's phases, by how long they are; each is timed in its middle.

    Args:
        supernet: Trained a little by it.
        images: To train on.
        plan: Precision and memory format.
        method: Which members.
        processes: That share a step; 0 for as many as will train it.
        cycles: That are timed, of each phase.
    """
    cores = shared_cores(plan)
    return sum(
        share
        * seconds_per_step(
            supernet,
            images,
            plan,
            SupernetBatches(plan, method, share_done=middle),
            steps=CYCLE * cycles,
            processes=processes or cores["processes"],
            threads=cores["threads"],
        )
        for share, middle in _phases(method)
    )


def fastest_plan(
    supernet: Supernet, images: Images, plans: Sequence[TrainPlan], method: AbstractMethod
) -> TrainPlan:
    """The plan whose steps of the supernet's training cost one process least, over all phases.

    Args:
        supernet: Trained a little by it.
        images: To train on.
        plans: That differ in their precision.
        method: Which members.
    """
    costs_PS, threads = np.zeros((len(plans), CYCLE)), shared_cores(plans[0])["threads"]
    for share, middle in _phases(method):
        ways = [(plan, SupernetBatches(plan, method, share_done=middle)) for plan in plans]
        found = paces(supernet, images, ways, steps=CYCLE, threads=threads)
        costs_PS += share * np.array([[pace.cost_s for pace in of_plan] for of_plan in found])
    return plans[fastest(costs_PS.tolist())]


def _phases(method: AbstractMethod) -> Iterator[tuple[float, float]]:
    """How long every phase is, and its middle, as shares of the training."""
    for begin, end in itertools.pairwise((*method.phases, 1.0)):
        if begin < end:
            yield end - begin, (begin + end) / 2


def with_batch(
    plan: TrainPlan,
    seconds: float,
    step_s: Callable[[TrainPlan], float],
    *,
    num_images: int,
    is_fixed: bool,
    many_steps: int = MANY_STEPS,
) -> tuple[TrainPlan, float]:
    """The plan with the batch that suits the time, and what `step_s` says of it.

    The more steps there are, the less each further one teaches, and the more its images do: they
    cost less together. So the batch is doubled while many steps remain. Twice the images take twice
    the time at most: what many steps fit into even then is not tried.

    Args:
        plan: Its batch matters only if it is fixed; one that memory is too small for is divided.
        seconds: For all steps.
        step_s: Seconds that a step of a plan takes.
        num_images: To train on.
        is_fixed: Whether the user set the batch.
        many_steps: That are to remain.
    """

    def timed(batch_size: int) -> tuple[TrainPlan, float]:
        whole = replace(plan, batch_size=batch_size)
        parts, taken_s = within_memory(whole, lambda parts: step_s(in_parts(whole, parts)))
        return in_parts(whole, parts), taken_s

    batch = first = plan.batch_size if is_fixed else TrainPlan.batch_size
    found, taken_s = timed(batch)
    most = 0 if is_fixed else min(LARGEST_BATCH, num_images // LEAST_BATCHES)
    while 2 * batch <= most and seconds * first >= 2 * batch * many_steps * taken_s:
        batch *= 2
    if batch > first:
        found, taken_s = timed(batch)
    while 2 * batch <= most and seconds >= many_steps * taken_s:
        larger, larger_s = timed(2 * batch)
        if seconds < many_steps * larger_s:
            break
        batch, found, taken_s = 2 * batch, larger, larger_s
    return found, taken_s


def within_memory(whole: TrainPlan, test: Callable[[int], Tested]) -> tuple[int, Tested]:
    """In how many parts the batches of a plan fit into memory, and what a speed test says of that.

    Args:
        whole: The plan with batches in one part.
        test: Of the plan in so many parts; may run out of memory.

    Raises:
        UserError: If even small parts do not fit.
    """
    parts = 1
    while True:
        try:
            return parts, test(parts)
        except Exception as error:
            parts *= 2
            if not is_out_of_memory(error):
                raise
            if whole.batch_size % parts or whole.batch_size // parts < LEAST_PART:
                raise UserError(
                    f"a step of {whole.batch_size} images does not fit into the memory of "
                    f"'{whole.device}', and neither does it in {parts // 2} parts. Lower the "
                    "budget, or the batch: --set batch_size=16"
                ) from error
        free_memory(whole.device)  # here, because the error's frames hold tensors


def in_parts(plan: TrainPlan, parts: int) -> TrainPlan:
    """The plan with batches divided in so many, whose mean gradient a step takes as that of more.

    A step has the same images; batch norm sees those of a part.
    """
    return replace(plan, batch_size=plan.batch_size // parts, shards=plan.shards * parts)


def shared_cores(plan: TrainPlan) -> dict[str, int]:
    """How many processes share a step, and the threads of each: all cores that torch may use.

    In a group of ranks they are those; else one process tells an accelerator what to do.
    """
    cores = torch.get_num_threads()
    if is_commanding():
        own = max(1, cores // num_ranks_here())
        return {"processes": min(num_ranks(), plan.shards), "threads": own}
    processes = min(cores, plan.shards) if is_cpu(plan.device) else 1
    return {"processes": processes, "threads": cores // processes}


@dataclass(frozen=True)
class Speed:
    """What a candidate took, seconds.

    Attributes:
        compress_s: To cut it out and compress it.
        score_s: To look at one image with it.
        answer_s: For its exported file to answer one image.
    """

    compress_s: float
    score_s: float
    answer_s: float


def typical(speeds: Sequence[Speed]) -> Speed:
    """The medians."""
    return Speed(
        statistics.median(speed.compress_s for speed in speeds),
        statistics.median(speed.score_s for speed in speeds),
        statistics.median(speed.answer_s for speed in speeds),
    )


def time_score(
    supernet: Supernet,
    data: DataSet,
    problem: Problem,
    images_per_score: int,
    calibrated_by: str = DEFAULT_CALIBRATION,
    *,
    device: str = CPU,
) -> list[Speed]:
    """How fast a few random candidates within the limits are and, last, the largest.

    A search prefers networks above the average of the space, so the largest is one of them. Those
    that fail are passed over.

    Raises:
        UserError: If all fail.
    """
    images = min(images_per_score, SPEED_IMAGES)
    scorer = Scorer(supernet, data, images, calibrated_by=calibrated_by, device=device)
    space = supernet.space
    rows = sample_within(problem, SPEED_CANDIDATES - 1, np.random.default_rng(0))
    speeds, why = [], ""
    for candidate in [*map(space.candidate, rows.tolist()), largest_member(problem)]:
        try:
            speeds.append(_speed(scorer, candidate, data))
        except CandidateError as error:
            why = str(error)
    if not speeds:
        raise UserError(
            f"none of {SPEED_CANDIDATES} networks of space '{space.name}' can be tried: {why}"
        )
    return speeds


def _speed(scorer: Scorer, candidate: Candidate, data: DataSet) -> Speed:
    started = time.perf_counter()
    network = scorer.compressed(candidate).network
    compressed = time.perf_counter()
    scorer.quality(network)
    score_s = (time.perf_counter() - compressed) / scorer.num_images
    return Speed(compressed - started, score_s, time_answer(network, data))


def time_answer(network: nn.Module, data: DataSet) -> float:
    """Seconds in which the exported network answers one image, asked as in its verification."""
    import onnxruntime

    images = data.normalised(data.search.take(SPEED_IMAGES).images_NCHW)
    batches = [images[i : i + VERIFIED_AT_ONCE] for i in range(0, len(images), VERIFIED_AT_ONCE)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        export_onnx(network, file, shape=images.shape[1:])
        session = onnxruntime.InferenceSession(file)
    session.run(None, {INPUT: batches[0]})
    started = time.perf_counter()
    for batch in batches:
        session.run(None, {INPUT: batch})
    return (time.perf_counter() - started) / len(images)
