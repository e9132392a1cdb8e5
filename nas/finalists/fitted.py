"""Plans of trainings of given length that suit the device they begin on."""

import copy
from dataclasses import dataclass, replace
from typing import final

from torch import nn

from compress.sparse import Making
from nas.prepare.speed import in_parts, within_memory
from nas.standalone.compiling import decided
from nas.standalone.train import as_it_is, seconds_per_step
from supernets.compiled import NEVER
from supernets.images import Images
from supernets.plan import TrainPlan
from supernets.teachers import LABELS_ONLY, Teaching


@final
@dataclass(frozen=True)
class Fitted:
    """Decides a plan where it will be followed; goes to other processes.

    A short test says in how many parts batches fit into memory, and whether compiling pays.

    Attributes:
        plan: With its steps and whole batches.
        teaching: What the network learns from.
        make: Of the network what is trained.
    """

    plan: TrainPlan
    teaching: Teaching = LABELS_ONLY
    make: Making = as_it_is

    def __call__(self, network: nn.Module, images: Images) -> TrainPlan:
        """The plan for a network, which stays as it is."""
        whole = self.plan
        twin = copy.deepcopy(network)
        module = self.make(twin)
        parts, step_s = within_memory(
            whole,
            lambda parts: seconds_per_step(module, images, in_parts(whole, parts), self.teaching),
        )
        plan = in_parts(whole, parts)
        if module is not twin:  # what is made of a network is not compiled
            return replace(plan, compile=NEVER)
        steps = plan.steps
        return decided(module, images, plan, self.teaching, steps=steps, step_s=step_s)[0]
