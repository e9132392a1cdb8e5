"""How much of a gain is the recipe's? One network by hand, old against new recipe, beside a search.

    python benchmarks/recipes.py --data cifar10 --data-dir DIR --steps 2000 --seeds 2 --against RUN

Bello et al., Revisiting ResNets: Improved Training and Scaling Strategies (2021): much of what new
architectures gain is what their training gains. The same ResNet is trained, alone and in the same
steps of equal batches, by recipes that differ in what is named only:

- **old**: that of He et al., Deep Residual Learning (2016), section 4.2: SGD with momentum at 0.1,
  which falls to a tenth and a hundredth, weight decay of 1e-4; no warm-up, no averaged weights, no
  label smoothing. Images are shifted and mirrored.
- **new**: that of a search (`TrainPlan`), and `--set`.
- **rs**: new with what ResNet-RS adds: RandAugment, stochastic depth and dropout. It pays where a
  network sees its images many times.

`--against` adds what the runs found within the ResNet's multiply-adds, deployed, and what that is
above the new recipe's accuracy: the gain of the architecture and its compression, since a search
trains its networks by the same recipe. Accuracies are of the test split; as many trainings run at a
time as there are cores, on one thread each.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from _handmade_networks import Design, Shape, macs

from nas.cli.console import print_table
from nas.prepare.inputs import read_data
from nas.prepare.plan import training_images
from nas.run.config import Config, make_config
from nas.standalone.train import alone_plan, trained_alone
from nas.system.environment import num_cores
from nas.system.text import setting
from reports.load import load_run
from supernets.calibrate import recalibrated
from supernets.plan import TrainPlan

AT_ONCE = 256
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "old": {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "schedule": "steps",
        "weight_decay": 1e-4,
        "warmup": 0.0,
        "ema_decay": 0.0,
        "label_smoothing": 0.0,
    },
    "new": {},
    "rs": {"augment": "randaugment", "drop_path": 0.1, "dropout": 0.25},
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared.

    Attributes:
        config: Data and settings of the new recipes.
        design: The network.
        steps: Of each training.
    """

    config: Config
    design: Design
    steps: int

    def __call__(self, job: tuple[str, int]) -> tuple[float, int]:
        """Accuracy on test, and multiply-adds, of the network by one recipe with a seed."""
        recipe, seed = job
        torch.set_num_threads(1)
        data = read_data(self.config)
        shape = Shape(
            channels=data.channels, resolution=data.resolution, num_classes=data.num_classes
        )
        network, images = self.design.network(shape, seed), training_images(data)
        own = {} if recipe == "old" else self.config.settings_of(TrainPlan)
        settings = {"channels_last": True, "batch_size": 128, "shards": 1, **own, **RECIPES[recipe]}
        plan = TrainPlan(**{"steps": self.steps, "seed": seed, **settings})
        with tempfile.TemporaryDirectory() as folder:
            decide = partial(alone_plan, plan, steps=self.steps)
            trained_alone(network, images, Path(folder), decide)
        calibration = images.normalised(torch.from_numpy(data.calibration.images_NCHW))
        recalibrated(network, calibration.split(AT_ONCE))
        with torch.no_grad():
            right = [
                network(images.normalised(pixels)).argmax(1)
                for pixels in torch.from_numpy(data.test.images_NCHW).split(AT_ONCE)
            ]
        labels = torch.from_numpy(data.test.labels_N)
        return float((torch.cat(right) == labels).float().mean()), macs(network, shape)


def found_by(runs: Sequence[Path], most_macs: int) -> list[tuple[str, float]]:
    """Of each run's front the most accurate file, on search, of a network that is no larger.

    Accuracies are on test; a run with no such network is left out.
    """
    rows = []
    for folder in runs:
        run = load_run(folder)
        small = [m for m in run.front if m.macs is not None and m.macs <= most_macs]
        if small:
            best = max(small, key=lambda member: member.deployed.search.shown or 0.0)
            rows.append((f"{folder.name} {best.key}", best.deployed.test.shown or 0.0))
    return rows


def main() -> None:
    """Prints a row per recipe, and per run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--family", default="resnet")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], type=setting, metavar="NAME=VALUE")
    parser.add_argument("--against", type=Path, nargs="+", default=[], metavar="RUN")
    asked = parser.parse_args()
    given = {"data": asked.data, "data_dir": asked.data_dir, "set": dict(asked.set)}
    design = Design(asked.family, asked.width)
    comparison = Comparison(config=make_config(given), design=design, steps=asked.steps)
    jobs = list(product(RECIPES, range(asked.seeds)))
    with ProcessPoolExecutor(num_cores(), mp_context=get_context("spawn")) as pool:
        found = dict(zip(jobs, pool.map(comparison, jobs), strict=True))
    accuracies = {name: [found[name, s][0] for s in range(asked.seeds)] for name in RECIPES}
    rows = [
        [f"{design.name}, {name}", " ".join(f"{100 * a:.1f}" for a in each), *_gain(each, old)]
        for old in [mean(accuracies["old"])]
        for name, each in accuracies.items()
    ]
    new = mean(accuracies["new"])
    for name, accuracy in found_by(asked.against, found[jobs[0]][1]):
        rows.append([name, f"{100 * accuracy:.1f}", *_gain([accuracy], new)])
    print_table(["network, recipe", "test %", "mean", "gain"], rows)
    print("Gains of recipes are above old, in points; those of runs above new.")


def _gain(accuracies: Sequence[float], base: float) -> list[str]:
    return [f"{100 * mean(accuracies):.2f}", f"{100 * (mean(accuracies) - base):+.2f}"]


if __name__ == "__main__":
    main()
