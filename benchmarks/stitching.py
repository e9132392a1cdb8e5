"""Do stitched networks lie between the models they are made of? Accuracy of every path.

    python benchmarks/stitching.py --data digit-pairs --widths 8,24 --steps 600 --tuning 600

Models of one operator, one block per stage and the given width in the first one (twice as many in
every stage after it), are trained alone for `--steps` steps each, stitched (`nas stitch`), and the
family is trained for `--tuning` steps, two batches each, as `nas compress` does. A row per path:
multiply-adds, accuracy and log-loss when it begins and when it is trained, and how far its accuracy
is from the chord, the straight line in multiply-adds between the smallest and the largest trained
model. Everything is in fp32 on one thread; 2,000 images of the search split, after batch-norm
recalibration.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from compress.bring.bring import Brought, bring, give_weights, space_of
from compress.bring.stitch import stitched
from nas.cli.console import print_table
from nas.data import DataSet
from nas.prepare.inputs import prepare
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.run.config import make_config
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from nas.system.text import words
from search_spaces import SearchSpace
from search_spaces.networks.stitched import PATH
from supernets.images import Images
from supernets.methods.sortednet import SortedNet
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

IMAGES, FIRST = 2000, 128
"""Images that a network is judged on, and by which stitches begin."""

TUNING_RATE = 0.2
"""Of a fresh network's rate: the family has learnt already."""

Judged = list[dict[str, float]]


def model(
    space: SearchSpace, data: DataSet, images: Images, operator: str, width: int, steps: int
) -> Brought:
    """One of the models, trained alone."""
    taken = {choice.name: choice.options[0] for choice in space.choices}
    for number, column in enumerate(space.columns("width")):
        taken[space.choices[column].name] = width * 2**number
    taken |= {space.choices[column].name: operator for column in space.columns("operator")}
    network = fresh_network(space, space.candidate(space.encode(taken)), 0)
    plan = TrainPlan(steps=steps, channels_last=True)
    with tempfile.TemporaryDirectory() as folder:
        trained_alone(network, images, Path(folder), partial(alone_plan, plan, steps=steps))
    judged(network, data, images, num_images=IMAGES)  # measures its statistics
    assert space.network is not None
    sizes = {"channels": space.network.channels, "resolution": space.network.resolution}
    return bring(f"{operator}{width}", network, **sizes)


def of_all_paths(supernet: Supernet, data: DataSet, images: Images) -> Judged:
    """What every path answers."""
    space = supernet.space
    return [
        judged(supernet.extract(space.slots((number,))), data, images, num_images=IMAGES)
        for number in range(len(space.choice(PATH).options))
    ]


def tuned(supernet: Supernet, images: Images, steps: int) -> Supernet:
    """The supernet, trained further."""
    rate = TUNING_RATE * TrainPlan(steps=steps).peak_rate
    plan = TrainPlan(steps=steps, channels_last=True, learning_rate=rate)
    batches = SupernetBatches(plan, SortedNet(space=supernet.space))
    with tempfile.TemporaryDirectory() as folder:
        train(supernet, images, plan, batches, directory=Path(folder))
    return supernet.eval()


def main() -> None:
    """Prints a row per path."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digit-pairs")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--operator", default="basic")
    parser.add_argument("--widths", type=words, default=("8", "24"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--tuning", type=int, default=600)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = make_config({"data": asked.data, "data_dir": asked.data_dir, "space": "hybrid"})
    data, space, _ = prepare(config)
    images = training_images(data)
    models = [
        model(space, data, images, asked.operator, int(width), asked.steps)
        for width in asked.widths
    ]
    first = torch.from_numpy(data.calibration.take(FIRST).images_NCHW)
    family = stitched(models, images.normalised(first).split(32))
    own = space_of(family)
    supernet = Supernet(own).eval()
    give_weights(supernet, family)
    before = of_all_paths(supernet, data, images)
    after = of_all_paths(tuned(supernet, images, asked.tuning), data, images)
    print_table(*table(own, before, after, len(models)))


def table(
    space: SearchSpace, before: Judged, after: Judged, num_models: int
) -> tuple[list[str], list[list[str]]]:
    """Header and rows, the smallest network first."""
    assert space.costs is not None
    paths = space.choice(PATH).options
    macs_P = space.costs.of("macs", np.arange(len(paths))[:, None])
    accuracies_P = np.array([row["accuracy"] for row in after])
    ends = [num_models - 1, 0]  # the smallest model alone, and the largest
    chord_P = np.interp(macs_P, macs_P[ends], accuracies_P[ends])
    rows = [
        [
            str(paths[i]),
            f"{macs_P[i] / 1e6:.2f}",
            f"{100 * before[i]['accuracy']:.1f}",
            f"{100 * accuracies_P[i]:.1f}",
            f"{before[i]['log_loss']:.3f}",
            f"{after[i]['log_loss']:.3f}",
            f"{100 * (accuracies_P[i] - chord_P[i]):+.1f}",
        ]
        for i in np.argsort(macs_P)
    ]
    header = ["path", "MMACs", "at first %", "trained %", "log-loss", "trained", "from chord"]
    return header, rows


if __name__ == "__main__":
    main()
