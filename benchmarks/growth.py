"""What is growing worth? A grown network against one from fresh weights, and one that expands.

    python benchmarks/growth.py --data digit-pairs --operator basic --steps 600 --seeds 2

*Growth*: a network of one block per stage and the least width is trained, and a larger one, of two
blocks and twice the width, in three ways: grown from it, from fresh weights in the same steps, and
from fresh weights in the steps of both. *Expansion*: the small network is trained, expands where
the score says so, is trained again, and so on (`nas/expand.py`), `--sizes` networks in all.

Everything is trained alone in fp32 on one thread. Accuracy and log-loss are those of 2,000 images
of the search split, after batch-norm recalibration.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from nas.cli.console import print_table
from nas.data import DataSet
from nas.expand import chosen, compared
from nas.prepare.inputs import prepare
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.problem.larger import expansions
from nas.problem.problem import Objective, Problem
from nas.run.config import make_config
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from search_spaces import Candidate, SearchSpace
from supernets.expansion import expansion_score
from supernets.growth import grown
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches

IMAGES = 2000
Row = list[str]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all trainings have in common.

    Attributes:
        data: Judged on its search split.
        images: To train on.
        space: Of the networks.
        operator: In every block.
        steps: Of a training.
        seed: Of weights and batches.
    """

    data: DataSet
    images: Images
    space: SearchSpace
    operator: str
    steps: int
    seed: int

    def candidate(self, depth: int, widths: Sequence[int]) -> Candidate:
        """So many blocks and channels in every stage; the first options of everything else."""
        taken = {choice.name: choice.options[0] for choice in self.space.choices}
        taken |= dict.fromkeys(self._named("depth"), depth)
        taken |= dict.fromkeys(self._named("operator"), self.operator)
        taken |= dict(zip(self._named("width"), widths, strict=False))
        return self.space.candidate(self.space.encode(taken))

    def _named(self, dimension: str) -> list[str]:
        return [self.space.choices[column].name for column in self.space.columns(dimension)]

    def plan(self, steps: int) -> TrainPlan:
        """A search's, for one network."""
        return alone_plan(TrainPlan(steps=steps, seed=self.seed, channels_last=True), steps=steps)

    def trained(self, network: PlainNetwork, steps: int) -> PlainNetwork:
        """The network, trained in place."""
        with tempfile.TemporaryDirectory() as folder:
            trained_alone(network, self.images, Path(folder), partial(self.plan, steps))
        return network

    def row(self, name: str, network: PlainNetwork, steps: int) -> Row:
        """What is shown of a network."""
        found = judged(network, self.data, self.images, num_images=IMAGES)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        numbers = [f"{100 * found['accuracy']:.1f}", f"{found['log_loss']:.3f}"]
        return [str(self.seed), name, f"{parameters:,}", f"{steps:,}", *numbers]

    def growth(self) -> list[Row]:
        """The small network, and the larger one in three ways."""
        widths = [self.space.choices[column].options for column in self.space.columns("width")]
        small = self.candidate(1, [int(options[0]) for options in widths])
        large = self.candidate(2, [2 * int(options[0]) for options in widths])
        steps, fresh = self.steps, partial(fresh_network, self.space, large, self.seed)
        origin = self.trained(fresh_network(self.space, small, self.seed), steps)
        rows = [self.row("small", origin, steps)]
        start = self._grown(origin, large)
        rows.append(self.row("grown, at first", start, 0))
        rows.append(self.row("grown", self.trained(start, steps), steps))
        rows.append(self.row("fresh", self.trained(fresh(), steps), steps))
        return [*rows, self.row("fresh, longer", self.trained(fresh(), 2 * steps), 2 * steps)]

    def expansion(self, sizes: int) -> list[Row]:
        """A network that expands, at every size."""
        widths = [self.space.choices[column].options for column in self.space.columns("width")]
        candidate = self.candidate(1, [int(options[0]) for options in widths])
        network, name, rows = fresh_network(self.space, candidate, self.seed), "first", list[Row]()
        batches = AloneBatches(self.plan(self.steps))
        problem = Problem(space=self.space, objectives=(Objective("accuracy", "maximize"),))
        while len(rows) < sizes:
            rows.append(self.row(name, self.trained(network, self.steps), self.steps))
            scores = compared(
                network,
                expansions(problem, candidate),
                grow=partial(self._grown, network),
                score=lambda network: expansion_score(network, self.images, batches),
            )
            found = chosen(scores, 1.0)
            if found is None:
                break
            name, candidate = found["choice"], self.space.candidate(found["encoding"])
            network = self._grown(network, candidate)
        return rows

    def _grown(self, network: PlainNetwork, larger: Candidate) -> PlainNetwork:
        return grown(network, self.space.slots(larger.encoding), seed=self.seed)


def main() -> None:
    """Prints a table of growth and one of expansion."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digit-pairs")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--operator", default="basic")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--sizes", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = make_config({"data": asked.data, "data_dir": asked.data_dir, "space": "hybrid"})
    data, space, _ = prepare(config)
    growth: list[Row] = []
    expansion: list[Row] = []
    for seed in range(asked.seeds):
        bench = Bench(
            data=data,
            images=training_images(data),
            space=space,
            operator=asked.operator,
            steps=asked.steps,
            seed=seed,
        )
        growth += bench.growth()
        expansion += bench.expansion(asked.sizes)
    header = ["seed", "network", "parameters", "steps", "accuracy %", "log-loss"]
    print_table(header, growth)
    print_table([header[0], "more", *header[2:]], expansion)


if __name__ == "__main__":
    main()
