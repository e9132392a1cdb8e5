"""What training a supernet takes, found without training it.

A supernet is made and thrown away. Its weights and those of its optimizer are counted; a few images
that are all black are answered by its members, which says how long that takes and what a gradient
would keep of it. Nothing is learnt.

Shapes: B images, C channels, H W pixels.
"""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.data import DataSet
from nas.data._streamed import streamed
from nas.problem.feasible import largest_member, sample_within
from nas.problem.problem import Problem
from supernets.device import at_work, is_cpu, moved, wait
from supernets.plan import TrainPlan
from supernets.supernet import Supernet
from supernets.train import fresh_state

PROCESS_BYTES, RUN_BYTES = 450e6, 130e6
"""Of a process with torch, where the system does not say what this one has; and what a run takes
besides before it trains: exports, and networks that are tried."""

TIMED_MEMBERS, TIMED_MACS, MOST_TIMED = 4, 2e9, 32
"""Members that answer, and multiply-adds that decide of how many images, up to so many."""

FORWARDS, KEPT = 3.0, 1.4
"""Of a gradient: what goes back takes about twice the time of what went forward, and the memory of
some maps besides those that were kept."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What one process needs.

    Attributes:
        parameters_bytes: Weights of the supernet.
        weights_bytes: With its buffers.
        state_bytes: Average, gradients, and what the optimizer keeps.
        checkpoint_bytes: The file of all that a training continues with.
        image_bytes: What the largest member keeps of an image for its gradient, in fp32.
        data_bytes: Decoded images that are held.
        process_bytes: Of a process that has imported all that it needs.
        forward_s: Of one image and one thread, the mean over members; of a device, all of it.
        optimizer_s: Of a step of the optimizer alone.
    """

    parameters_bytes: int
    weights_bytes: int
    state_bytes: int
    checkpoint_bytes: int
    image_bytes: float
    data_bytes: int
    process_bytes: float
    forward_s: float
    optimizer_s: float

    def step_s(self, plan: TrainPlan, processes: int) -> float:
        """Seconds of a step whose batches train a member each."""
        rounds = math.ceil(plan.shards / processes)
        return rounds * FORWARDS * plan.batch_size * self.forward_s + self.optimizer_s

    def computing_bytes(self, plan: TrainPlan) -> float:
        """What computes: weights, what belongs to them, and activations of a batch."""
        own = self.weights_bytes + self.state_bytes
        return own + plan.batch_size * KEPT * self.image_bytes

    def first_bytes(self, plan: TrainPlan, processes: int) -> float:
        """Of this machine's memory, by the process that commands: with what others send it."""
        own = self.computing_bytes(plan) if is_cpu(plan.device) else self.weights_bytes
        sent = 2 * self.parameters_bytes if processes > 1 else 0
        return self.process_bytes + self.data_bytes + own + sent

    def further_bytes(self, plan: TrainPlan) -> float:
        """Of this machine's memory, by each other process that trains: no average, no optimizer."""
        activations = plan.batch_size * KEPT * self.image_bytes if is_cpu(plan.device) else 0.0
        own = self.weights_bytes + self.parameters_bytes + activations
        return self.process_bytes + self.data_bytes + own


def footprint_of(
    problem: Problem, plan: TrainPlan, data: DataSet, *, process_bytes: float | None
) -> Footprint:
    """Find it.

    Args:
        problem: Whose members are trained.
        plan: Device, optimizer, seed.
        data: Says the shape of images.
        process_bytes: Of this process before data were read; None where it is not known.
    """
    supernet = Supernet(problem.space, seed=plan.seed)
    parameters = list(supernet.parameters())
    own = _num_bytes(parameters)
    with at_work(plan.device, supernet):
        supernet.train()
        forward_s = _forward_s(supernet, problem, plan, data)
        image_bytes = _saved_bytes(supernet, problem, plan, data)
        state = fresh_state(supernet, plan)
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        began = time.perf_counter()
        state.advance(0.0)
        wait(plan.device)
        optimizer_s = time.perf_counter() - began
        kept = [t for o in state.optimizers for of in o.state.values() for t in of.values()]
        moments = _num_bytes([t for t in kept if isinstance(t, Tensor)])
    weights = own + _num_bytes(list(supernet.buffers()))
    return Footprint(
        parameters_bytes=own,
        weights_bytes=weights,
        state_bytes=2 * own + moments,
        checkpoint_bytes=weights + own + moments,
        image_bytes=image_bytes,
        data_bytes=_held_bytes(data),
        process_bytes=(process_bytes or PROCESS_BYTES) + RUN_BYTES,
        forward_s=forward_s,
        optimizer_s=optimizer_s,
    )


def _num_bytes(tensors: Sequence[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _held_bytes(data: DataSet) -> int:
    splits = (data.search, data.test, *([] if streamed(data.train) else [data.train]))
    return sum(split.images_NCHW.nbytes + split.labels_N.nbytes for split in splits)


def _black(num: int, plan: TrainPlan, data: DataSet) -> Tensor:
    height, width = data.sides
    return moved(torch.zeros(num, data.channels, height, width), plan.device)


def _forward_s(supernet: Supernet, problem: Problem, plan: TrainPlan, data: DataSet) -> float:
    """Seconds of an image: of some members, each asked once before it is timed."""
    rows_NC = sample_within(problem, TIMED_MEMBERS, np.random.default_rng(plan.seed))
    assert problem.space.costs is not None
    macs_N = problem.space.costs.of("macs", rows_NC)
    threads = torch.get_num_threads()
    if is_cpu(plan.device):
        torch.set_num_threads(1)
    try:
        taken_s = []
        for row, macs in zip(rows_NC.tolist(), macs_N, strict=True):
            num = int(min(MOST_TIMED, max(2, TIMED_MACS // macs)))
            images_BCHW = _black(num, plan, data)
            slots = problem.space.slots(problem.space.candidate(row).encoding)
            for _ in range(2):
                began = time.perf_counter()
                supernet(images_BCHW, slots)
                wait(plan.device)
            taken_s.append((time.perf_counter() - began) / num)
        return statistics.fmean(taken_s)
    finally:
        torch.set_num_threads(threads)


def _saved_bytes(supernet: Supernet, problem: Problem, plan: TrainPlan, data: DataSet) -> float:
    """What the largest member keeps for its gradient, of one of two images; weights apart."""
    weights = {p.untyped_storage().data_ptr() for p in supernet.parameters()}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    slots = problem.space.slots(largest_member(problem).encoding)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        answers = supernet(_black(2, plan, data), slots)
    del answers
    return sum(found.values()) / 2
