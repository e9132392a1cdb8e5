"""Which stages should convolve, and which attend? Every order, on few images and on all.

    python benchmarks/stage_order.py --data cifar10 --data-dir DIR --images 10000 --steps 1000

The operator of every block is a choice of a space, so the order of operators over the stages is,
too. What Dagli says in Astroformer: More Data Might not be all you need for Classification (2023):
the best order where there are few images may be another one than where there are many. One network
per order of a convolution and an attention, one block per stage, is trained alone for the same
steps, on `--images` of the training images and on all of them. Accuracy is that of 2,000 images of
the search split. Printed last is whether the best orders agree, and how far the ranks of all do
(Spearman's). As many are trained at the same time as there are cores, on one thread each.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from nas.cli.console import print_table
from nas.prepare.inputs import prepare
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.run.config import Config, make_config
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from nas.system.environment import num_cores
from nas.system.text import setting
from search_spaces import Candidate, Option, SearchSpace
from supernets.plan import TrainPlan

IMAGES, WIDTH = 2000, 16
ALL = 0
"""In place of a number of images."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training.

    Attributes:
        order: An operator per stage.
        num_images: To train on; `ALL` for all.
        seed: Of weights and batches.
    """

    order: tuple[str, ...]
    num_images: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Trains and judges.

    Attributes:
        config: Data and settings.
        steps: Of each training.
    """

    config: Config
    steps: int

    def __call__(self, trial: Trial) -> float:
        """Accuracy on the search split."""
        torch.set_num_threads(1)
        data, space, _ = prepare(self.config)
        images = training_images(data)
        if trial.num_images != ALL:
            few = data.train.take(trial.num_images)  # of classes as in all
            images = replace(
                images,
                images_NCHW=torch.from_numpy(few.images_NCHW),
                labels_N=torch.from_numpy(few.labels_N),
            )
        network = fresh_network(space, network_of(space, trial.order), trial.seed)
        settings = {"channels_last": True, **self.config.settings_of(TrainPlan)}
        plan = TrainPlan(**{"steps": self.steps, "seed": trial.seed, **settings})
        with tempfile.TemporaryDirectory() as folder:
            decide = partial(alone_plan, plan, steps=self.steps)
            trained_alone(network, images, Path(folder), decide)
        return judged(network, data, images, num_images=IMAGES)["accuracy"]


def network_of(space: SearchSpace, order: tuple[str, ...]) -> Candidate:
    """One block per stage, the first options of everything else."""
    taken: dict[str, Option] = {choice.name: choice.options[0] for choice in space.choices}
    for number, operator in enumerate(order, start=1):
        taken[f"stage{number}.width"] = WIDTH * 2 ** (number - 1)
        taken[f"stage{number}.block1.operator"] = operator
    return space.candidate(space.encode(taken))


def num_stages(space: SearchSpace) -> int:
    """Of its networks."""
    return len(space.columns("depth"))


def main() -> None:
    """Prints a row per order."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--convolution", default="mbconv")
    parser.add_argument("--attention", default="window")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="NAME=VALUE")
    asked = parser.parse_args()
    given = {"data": asked.data, "data_dir": asked.data_dir, "set": dict(asked.set)}
    config = make_config({**given, "space": "hybrid"})
    _, space, _ = prepare(config)
    orders = list(product((asked.convolution, asked.attention), repeat=num_stages(space)))
    trials = [
        Trial(order=order, num_images=number, seed=seed)
        for order, number, seed in product(orders, (asked.images, ALL), range(asked.seeds))
    ]
    with ProcessPoolExecutor(num_cores(), mp_context=get_context("spawn")) as pool:
        judge = Judge(config=config, steps=asked.steps)
        found = dict(zip(trials, pool.map(judge, trials), strict=True))
    table = {
        (order, number): [a for t, a in found.items() if (t.order, t.num_images) == (order, number)]
        for order, number in product(orders, (asked.images, ALL))
    }
    rows = [
        [" ".join(order), *(_shown(table[order, number]) for number in (asked.images, ALL))]
        for order in orders
    ]
    print_table(["order", f"{asked.images} images, %", "all images, %"], rows)
    few, many = ([mean(table[o, number]) for o in orders] for number in (asked.images, ALL))
    best = [" ".join(orders[int(np.argmax(each))]) for each in (few, many)]
    ranks = [np.argsort(np.argsort(each)) for each in (few, many)]
    spearman = np.corrcoef(*ranks)[0, 1]
    print(f"best on few: {best[0]}; on all: {best[1]}; Spearman's rank correlation {spearman:.2f}")


def _shown(accuracies: list[float]) -> str:
    return " ".join(f"{100 * a:.1f}" for a in accuracies)


if __name__ == "__main__":
    main()
