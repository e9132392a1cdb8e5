"""Which recipe teaches a network most in the same steps? One network, alone, per operator and seed.

    python benchmarks/recipe.py --operators basic,window --steps 500 --seeds 2 \\
        --set learning_rate=0.05 --set weight_decay=0.02 --linear-scale 0.4 --norm-scale 0.08

The network has one block of the operator per stage, widths of 16, 32 and 64 and a stem of stride 2,
in fp32, unpruned. As many are trained at the same time as there are cores, on one thread each.
Accuracy and log-loss are those of 2,000 images of the search split, after batch-norm
recalibration. Without arguments the recipe is that of a search.
"""

import argparse
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from nas.cli.console import print_table
from nas.prepare.inputs import prepare
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.run.config import Config, make_config
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from nas.system.environment import num_cores
from nas.system.text import setting, words
from search_spaces import Candidate, SearchSpace
from supernets.optimizers import muon
from supernets.plan import TrainPlan

WIDTH, IMAGES = 16, 2000


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is compared.

    Attributes:
        config: Data and settings.
        steps: Of each training.
        linear_scale: Rate of linear layers, in that of kernels.
        norm_scale: Rate of norms, biases and depthwise kernels, in that of kernels.
    """

    config: Config
    steps: int
    linear_scale: float
    norm_scale: float

    def __call__(self, job: tuple[str, int]) -> tuple[float, float]:
        """Accuracy and log-loss of an operator's network with a seed."""
        operator, seed = job
        torch.set_num_threads(1)
        muon.LINEAR_SCALE, muon.ADAM_SCALE = self.linear_scale, self.norm_scale
        data, space, _ = prepare(self.config)
        candidate = network_of(space, operator)
        settings = {"channels_last": True, **self.config.settings_of(TrainPlan)}
        plan = TrainPlan(**{"steps": self.steps, "seed": seed, **settings})
        network, images = fresh_network(space, candidate, seed), training_images(data)
        with tempfile.TemporaryDirectory() as folder:
            decide = partial(alone_plan, plan, steps=self.steps)
            trained_alone(network, images, Path(folder), decide)
        found = judged(network, data, images, num_images=IMAGES)
        return found["accuracy"], found["log_loss"]


def network_of(space: SearchSpace, operator: str) -> Candidate:
    """The first options of everything else."""
    taken: dict[str, Any] = {choice.name: choice.options[0] for choice in space.choices}
    for number, column in enumerate(space.columns("width")):
        taken[space.choices[column].name] = WIDTH * 2**number
    taken |= {space.choices[column].name: operator for column in space.columns("operator")}
    return space.candidate(space.encode(taken))


def main() -> None:
    """Prints a row per operator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digit-pairs")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--operators", type=words, default=("basic",))
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--linear-scale", type=float, default=muon.LINEAR_SCALE)
    parser.add_argument("--norm-scale", type=float, default=muon.ADAM_SCALE)
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="NAME=VALUE")
    asked = parser.parse_args()
    given: Mapping[str, Any] = {"data": asked.data, "data_dir": asked.data_dir}
    config = make_config({**given, "space": "hybrid", "set": dict(asked.set)})
    recipe = Recipe(
        config=config,
        steps=asked.steps,
        linear_scale=asked.linear_scale,
        norm_scale=asked.norm_scale,
    )
    jobs = list(product(asked.operators, range(asked.seeds)))
    with ProcessPoolExecutor(num_cores(), mp_context=get_context("spawn")) as pool:
        found = dict(zip(jobs, pool.map(recipe, jobs), strict=True))
    rows = []
    for operator in asked.operators:
        accuracies, losses = zip(*(found[operator, s] for s in range(asked.seeds)), strict=True)
        shown = [" ".join(f"{100 * a:.1f}" for a in accuracies)]
        shown += [" ".join(f"{loss:.3f}" for loss in losses), f"{mean(losses):.3f}"]
        rows.append([operator, *shown])
    print_table(["operator", "accuracy %", "log-loss", "mean log-loss"], rows)


if __name__ == "__main__":
    main()
