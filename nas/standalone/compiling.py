"""Whether a network that is trained alone is compiled: if its training ends sooner so.

Compiling takes as long as many steps, so it is tried where much time is left alone, and what it
took in the test counts against it. A compiled step must be faster beyond noise (`supernets.pace`).
"""

import logging
import statistics
import time
from dataclasses import replace
from typing import NamedTuple

from torch import nn

from nas.standalone.train import SPEED_STEPS, is_plain
from supernets.compiled import ALWAYS, NEVER, compiling, lacking
from supernets.device import is_cpu, is_out_of_memory
from supernets.images import Images
from supernets.pace import fastest, paces
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from supernets.teachers import LABELS_ONLY, Teaching

TRIED_FROM_S, TRIED_BY_CPU_FROM_S = 300.0, 3600.0
"""Seconds of training from which on compiling is tried. Processors compile for 24 to 42 s, and for
steps that take 0.04 to 0.26 less (decision 98): in searches of minutes that never pays."""

logger = logging.getLogger(__name__)


class Compiling(NamedTuple):
    """What a speed test says.

    Attributes:
        plain_s: Seconds of a step of the network as it is.
        compiled_s: Of a compiled one.
        compile_s: Seconds that compiling took.
        is_faster: Whether a compiled step costs less, beyond noise.
    """

    plain_s: float
    compiled_s: float
    compile_s: float
    is_faster: bool

    def saves(self, steps: float) -> bool:
        """Whether so many steps take less time, that of compiling included."""
        return self.is_faster and self.seconds_per_step(steps) < self.plain_s

    def seconds_per_step(self, steps: float) -> float:
        """Of so many, which share the time of compiling."""
        return self.compiled_s + self.compile_s / max(1.0, steps)


def decided(
    network: nn.Module,
    images: Images,
    plan: TrainPlan,
    teaching: Teaching = LABELS_ONLY,
    *,
    steps: float,
    step_s: float,
) -> tuple[TrainPlan, float]:
    """The plan, which says whether the network is compiled, and seconds per step with it.

    Args:
        network: What is trained; ends as it was.
        images: To train on.
        plan: May say it already; what cannot be compiled is not, whatever it says.
        teaching: What the network learns from.
        steps: Of the training.
        step_s: Seconds of one that is not compiled.
    """
    if plan.compile == NEVER:
        return plan, step_s
    reason = _reason_against(network, plan, teaching)
    if plan.compile == ALWAYS:
        if not reason:
            return plan, step_s
        logger.warning("compile is 'always', and a network is not compiled: %s", reason)
        return replace(plan, compile=NEVER), step_s
    least_s = TRIED_BY_CPU_FROM_S if is_cpu(plan.device) else TRIED_FROM_S
    found = None
    if not reason and steps * step_s >= least_s:
        found = timed(network, images, plan, teaching)
    if found is None or not found.saves(steps):
        return replace(plan, compile=NEVER), step_s
    return replace(plan, compile=ALWAYS), found.seconds_per_step(steps)


def _reason_against(network: nn.Module, plan: TrainPlan, teaching: Teaching) -> str:
    """Why steps of a training cannot be compiled; "" if they can."""
    if not is_plain(network):
        return "what is made of it does more than its forward pass"
    if teaching.likenesses:
        return "what it learns from looks at maps inside of it"
    what = lacking(plan.device)
    return f"this needs {what}" if what else ""


def timed(
    network: nn.Module, images: Images, plan: TrainPlan, teaching: Teaching = LABELS_ONLY
) -> Compiling | None:
    """How long compiled steps take beside others, where nothing is lacking; None if it fails.

    On one thread; the network ends as it was.
    """
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    plans = [replace(plan, compile=name) for name in (ALWAYS, NEVER)]
    ways = [(one, AloneBatches(one, teaching)) for one in plans]
    began = time.perf_counter()
    try:
        with compiling(network, device=plan.device):
            found = paces(network, images, ways, steps=SPEED_STEPS, threads=1)
    except Exception as error:  # of dynamo, inductor or a compiler, of no common class
        if is_out_of_memory(error):
            raise
        logger.info("not compiled: %.200s", error)
        return None
    finally:
        network.load_state_dict(before)
    taken_s = time.perf_counter() - began
    compiled_s, plain_s = (statistics.median(p.seconds for p in of_way) for of_way in found)
    stepped_s = (SPEED_STEPS + 1) * (compiled_s + plain_s)
    is_faster = fastest([[pace.cost_s for pace in of_way] for of_way in found]) == 0
    return Compiling(plain_s, compiled_s, max(0.0, taken_s - stepped_s), is_faster)
