"""Which criterion prunes a network that was brought best, right away and after a short training?

    python benchmarks/criteria.py --model resnet --minutes 1 --seeds 1
    python benchmarks/criteria.py --model vit --minutes 1 --criteria random,magnitude,taylor

A plain PyTorch network is trained for `--minutes`, then every group of it loses the same share of
its members, chosen by each criterion. Accuracy, % of `--images` of the search split: after
batch-norm recalibration, and after `--steps` steps of training, the same ones for all. Of a
supernet's training there is nothing in it: the weights that are ranked are the network's own.
"""

import argparse
import runpy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor, nn

from compress.activate import activate_, dead_rate
from compress.bring.bring import bring, give_weights, space_of
from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.prepare.plan import TUNING_RATE, training_images
from nas.system.text import fractions, words
from search_spaces import SearchSpace
from supernets.calibrate import recalibrated
from supernets.criteria import CRITERIA
from supernets.gradients import label_gradients
from supernets.methods.sandwich import Sandwich
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches, SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

BATCH, STEPS_TIMED = 64, 10
WRITTEN = runpy.run_path(str(Path(__file__).parents[1] / "tests/compress/bring/models.py"))


def resnet(data: DataSet) -> nn.Module:
    """ResNet-20."""
    network: nn.Module = WRITTEN["ResNet"](channels=data.channels, classes=len(data.classes))
    return network


def vit(data: DataSet) -> nn.Module:
    """Three blocks of width 64, patches of 4 px."""
    network: nn.Module = WRITTEN["ViT"](
        channels=data.channels, classes=len(data.classes), side=data.resolution
    )
    return network


MODELS: dict[str, Callable[[DataSet], nn.Module]] = {"resnet": resnet, "vit": vit}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What networks are trained and judged on.

    Attributes:
        data: All splits.
        num_images: Of the search split.
        steps: Of the training after pruning.
        seed: Of everything random.
        activate: Share of the units that are made linear before that training.
    """

    data: DataSet
    num_images: int
    steps: int
    seed: int
    activate: float = 0.0

    @property
    def plan(self) -> TrainPlan:
        """For one network, but for its steps."""
        return TrainPlan(steps=self.steps, batch_size=BATCH, shards=1, seed=self.seed)

    def trained(self, network: nn.Module, plan: TrainPlan) -> nn.Module:
        """The network, which is changed."""
        with tempfile.TemporaryDirectory() as folder:
            images = training_images(self.data)
            train(network, images, plan, AloneBatches(plan), directory=Path(folder))
        return network

    @torch.no_grad()
    def accuracy(self, network: nn.Module) -> float:
        """% of the images, with the batch-norm statistics of the calibration split."""
        recalibrated(network, self.calibration)
        judged = self.data.search.take(self.num_images)
        images = self._normalised(judged.images_NCHW)
        answers_N = torch.cat([network(batch).argmax(1) for batch in images.split(250)]).numpy()
        return 100 * float(np.mean(answers_N == judged.labels_N))

    @cached_property
    def calibration(self) -> Sequence[Tensor]:
        """Images by which statistics are measured."""
        return self._normalised(self.data.calibration.images_NCHW).split(128)

    def _normalised(self, images_NCHW: np.ndarray) -> Tensor:
        return torch.from_numpy(self.data.normalised(images_NCHW))


def taught(task: Task, model: str, minutes: float) -> nn.Module:
    """A network of this model after so many minutes of training, after a speed test."""
    test = replace(task.plan, steps=STEPS_TIMED)
    network, started = task.trained(MODELS[model](task.data), test), time.perf_counter()
    task.trained(network, test)
    seconds = time.perf_counter() - started
    steps = int(max(STEPS_TIMED, 60 * minutes / seconds * STEPS_TIMED))
    torch.manual_seed(task.seed)
    network = task.trained(MODELS[model](task.data), replace(task.plan, steps=steps))
    accuracy = task.accuracy(network)
    print(f"{model}, seed {task.seed}: {accuracy:.1f} % after {steps} steps", flush=True)
    return network


def supernet_of(network: nn.Module, data: DataSet, sparsities: Sequence[float]) -> Supernet:
    """The network's supernet, whose members are pruned and nothing else."""
    brought = bring("network", network.eval(), channels=data.channels, resolution=data.resolution)
    supernet = Supernet(space_of(brought).with_policy(("fp32",), (0.0, *sparsities)))
    give_weights(supernet, brought)
    return supernet


def uniform(space: SearchSpace, sparsity: float) -> tuple[int, ...]:
    """The member whose every group loses this share."""
    encoding = [0] * len(space.choices)
    for column in space.columns("sparsity"):
        encoding[column] = space.choices[column].options.index(sparsity)
    return space.canonical(encoding)


def pruned(task: Task, supernet: Supernet, criterion: str, sparsity: float) -> tuple[float, float]:
    """Accuracy of a pruned network before and after training."""
    slots = supernet.space.slots(uniform(supernet.space, sparsity))
    network = supernet.extract(slots)
    before, dead = task.accuracy(network), [dead_rate(network, task.calibration)]
    activate_(network, task.calibration, task.activate)
    plan = task.plan
    tuned = replace(plan, learning_rate=TUNING_RATE * plan.peak_rate)
    after = task.accuracy(task.trained(network, tuned))
    dead.append(dead_rate(network, task.calibration))
    rates = " to ".join(f"{100 * rate:.1f}" for rate in dead)
    print(f"  {criterion}, {sparsity:g}: {before:.1f} {after:.1f}, dead {rates} %", flush=True)
    return before, after


def compared(
    task: Task, model: str, asked: argparse.Namespace
) -> dict[tuple[str, float], tuple[float, float]]:
    """By criterion and sparsity: accuracy before and after training, with one seed."""
    network = taught(task, model, asked.minutes)
    supernet = supernet_of(network, task.data, asked.sparsity)
    batches = SupernetBatches(task.plan, Sandwich(space=supernet.space))
    images, found = training_images(task.data), {}
    for criterion in asked.criteria:
        supernet.train()
        gradients = label_gradients(supernet, images, batches)
        supernet.rank(criterion, seed=task.seed, gradients=gradients)
        for sparsity in asked.sparsity:
            found[criterion, sparsity] = pruned(task, supernet, criterion, sparsity)
    return found


def main() -> None:
    """Prints a row per criterion, means over seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="resnet")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--criteria", type=words, default=tuple(CRITERIA.names()))
    parser.add_argument("--sparsity", type=fractions, default=(0.25, 0.5, 0.75))
    parser.add_argument("--minutes", type=float, default=1.0, help="of training before pruning")
    parser.add_argument("--steps", type=int, default=50, help="of training after pruning")
    parser.add_argument("--activate", type=float, default=0.0, help="share of units made linear")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1, help="of network and training")
    parser.add_argument("--first-seed", type=int, default=0)
    asked = parser.parse_args()
    data = load_data(asked.data, resolution=asked.resolution)
    results = []
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        task = Task(
            data=data,
            num_images=asked.images,
            steps=asked.steps,
            seed=seed,
            activate=asked.activate,
        )
        results.append(compared(task, asked.model, asked))
    columns = list(product(asked.sparsity, enumerate(("pruned", "trained"))))
    header = ["criterion", *(f"{100 * sparsity:g} % {when}" for sparsity, (_, when) in columns)]
    rows = [
        [name, *(f"{mean(f[name, s][when] for f in results):.1f}" for s, (when, _) in columns)]
        for name in asked.criteria
    ]
    print_table(header, rows)


if __name__ == "__main__":
    main()
