"""How much is lost on images of other sizes than those of the training, with several sizes and one?

    python benchmarks/resolutions.py --sides 16,20,24,28,32,40 --steps 400 --seeds 3

Supernets are trained for equal steps, by `sortednet`, by `multi-resolution` and by `curriculum`;
then the smallest, a middle and the largest member look at images of every size, scaled from those
of `--resolution`. Seconds of training, and accuracy, % of `--images` of the search split, with
batch-norm statistics of that size; means over seeds. The first operator of `--space` must take maps
of any size.
"""

import argparse
import time
from statistics import mean

import torch
from _trained import BATCH, images_of, member, sized, space_for, trained
from torch import Tensor
from torch.nn.functional import interpolate

from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.system.text import words
from search_spaces import SearchSpace, resized
from supernets.plan import TrainPlan
from supernets.supernet import Supernet

METHODS = ("sortednet", "multi-resolution", "curriculum")
SHARES = (0.0, 0.5, 1.0)


@torch.no_grad()
def accuracy(
    supernet: Supernet, space: SearchSpace, data: DataSet, side: int, images: int
) -> float:
    """Mean of the three members, %."""
    judged, sides = data.search.take(images), (side, side)
    shown = at_size(images_of(data, judged), side)
    calibration = at_size(images_of(data, data.calibration), side)
    labels, found = torch.from_numpy(judged.labels_N), []
    for share in SHARES:
        slots = resized(space.slots(sized(space, share)), sides)
        network = member(supernet, slots, calibration)
        answers = torch.cat([network(batch).argmax(1) for batch in shown.split(BATCH)])
        found.append(100 * float((answers == labels).float().mean()))
    return mean(found)


def at_size(images: Tensor, side: int) -> Tensor:
    """Images of another size: means of pixels for a smaller one."""
    if side < images.shape[-1]:
        return interpolate(images, size=(side, side), mode="area")
    return interpolate(images, size=(side, side), mode="bilinear", align_corners=False)


def main() -> None:
    """Prints a row per method, a column per size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", type=words, default=words("16,20,24,28,32,40"))
    parser.add_argument("--data", default="digits")
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    data = load_data(asked.data, resolution=asked.resolution)
    space, sides = space_for(asked.space, data), [int(side) for side in asked.sides]
    rows = []
    for method in METHODS:
        by_seed, seconds = [], []
        for seed in range(asked.seeds):
            plan = TrainPlan(steps=asked.steps, batch_size=asked.batch, seed=seed)
            began = time.perf_counter()
            supernet = trained(space, data, plan, method)
            seconds.append(time.perf_counter() - began)
            by_seed.append([accuracy(supernet, space, data, side, asked.images) for side in sides])
        found = [f"{mean(of_side):.1f}" for of_side in zip(*by_seed, strict=True)]
        rows.append([method, f"{mean(seconds):.1f}", *found])
    print_table(["method", "s", *(f"{side} px" for side in sides)], rows)


if __name__ == "__main__":
    main()
