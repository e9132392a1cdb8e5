"""Do several sets of weights rank where maps are halved as training alone does?

    python benchmarks/mixtures.py --data fashion-mnist --resolution 16 --sets 1,2,4

Of a row of `--depth` pairs of each width, two of which halve the map, all configurations (of 6
pairs 15) are trained alone, from fresh weights, for `--alone` steps. For every number of sets of
weights a supernet is trained by `mixture` for `--steps` steps, of all sets together, two batches
each, and each configuration is judged with the set that is likeliest for it. A row per number of
sets and seed: Kendall's tau of the log-losses with shared weights and alone, over configurations;
the correlation of Pearson; the divergence from even use of the sets; and mean accuracies. One
thread; `--images` of the search split, after batch-norm recalibration. What is trained alone is in
`--out` and not repeated.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau

from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.standalone.train import fresh_network, trained_alone
from nas.system.files import make_folder
from nas.system.text import words
from search_spaces import Downsampled, SearchSpace, task_of
from search_spaces.networks.downsampled import DOWNSAMPLING, WEIGHT_SET
from supernets.images import Images
from supernets.methods.mixture import Mixture
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

HALVINGS = 2


def space_of(data: DataSet, asked: argparse.Namespace, num_sets: int) -> SearchSpace:
    """Of so many sets of weights."""
    network = Downsampled(
        resolution=data.resolution,
        channels=data.channels,
        num_classes=data.num_outputs,
        widths=tuple(map(int, asked.widths)),
        depth=asked.depth,
        halvings=HALVINGS,
        num_sets=num_sets,
        stem_stride=1,
    )
    return SearchSpace.of_network("rows", network)


def alone(data: DataSet, images: Images, asked: argparse.Namespace) -> list[dict[str, float]]:
    """Metrics of every configuration that was trained by itself."""
    space = space_of(data, asked, 1)
    plan = TrainPlan(steps=asked.alone, batch_size=asked.batch, shards=1, channels_last=True)
    found = []
    for number, place in enumerate(space.choice(DOWNSAMPLING).options):
        network = fresh_network(space, space.candidate((number,)), 0)
        folder = make_folder(asked.out / str(place))
        trained_alone(network, images, folder, lambda: plan)
        found.append(judged(network, data, images, num_images=asked.images))
    return found


def with_sets(
    data: DataSet, images: Images, asked: argparse.Namespace, num_sets: int, seed: int
) -> tuple[list[dict[str, float]], float]:
    """Metrics of every configuration with its set of weights, and how unevenly sets are used."""
    space = space_of(data, asked, num_sets)
    plan = TrainPlan(steps=asked.steps, batch_size=asked.batch, channels_last=True, seed=seed)
    method = Mixture(space=space, seed=seed, sparse_from=plan.steps * plan.shards)
    supernet = Supernet(space, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        state = train(supernet, images, plan, SupernetBatches(plan, method), directory=Path(folder))
    best_A = method.chances(state).argmax(1)
    found = []
    for place, chosen in zip(space.choice(DOWNSAMPLING).options, best_A, strict=True):
        taken = {DOWNSAMPLING: place, WEIGHT_SET: f"w{chosen + 1}"}
        row = space.encode(taken)
        network = supernet.extract(space.slots(row))
        found.append(judged(network, data, images, num_images=asked.images))
    shares_M = state["trained"].sum(0) / state["trained"].sum()
    used_M = shares_M[shares_M > 0]
    return found, float((used_M * np.log(used_M * num_sets)).sum())


def main() -> None:
    """Prints the accuracies alone, then a row per number of sets and seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--resolution", type=int, help="pixels; the data's own by default")
    parser.add_argument("--widths", type=words, default=("8", "16"))
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--sets", type=words, default=("1", "2", "4"))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--alone", type=int, default=200)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("runs/mixtures-benchmark"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(asked.data, resolution=asked.resolution)
    images, loss = training_images(data), task_of(data.task).loss.name
    by_itself = alone(data, images, asked)
    places = space_of(data, asked, 1).choice(DOWNSAMPLING).options
    print_table(
        ["halved", "alone %", loss],
        [
            [str(place), f"{100 * row['accuracy']:.1f}", f"{row[loss]:.3f}"]
            for place, row in zip(places, by_itself, strict=True)
        ],
    )
    alone_A = np.array([row[loss] for row in by_itself])
    rows = []
    for num_sets in map(int, asked.sets):
        for seed in range(asked.seeds):
            found, divergence = with_sets(data, images, asked, num_sets, seed)
            shared_A = np.array([row[loss] for row in found])
            mean = np.mean([row["accuracy"] for row in found])
            rows.append(
                [
                    *map(str, (num_sets, seed)),
                    f"{kendalltau(shared_A, alone_A).statistic:.2f}",
                    f"{np.corrcoef(shared_A, alone_A)[0, 1]:.2f}",
                    f"{divergence:.4f}",
                    f"{100 * mean:.1f}",
                ]
            )
    mean = np.mean([row["accuracy"] for row in by_itself])
    print_table(["sets", "seed", "tau", "r", "divergence", "mean %"], rows)
    print(f"alone the mean is {100 * mean:.1f} %")


if __name__ == "__main__":
    main()
