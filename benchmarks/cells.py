"""Do small networks of cells rank the cells as deeper and wider networks of them do?

    PYTHONPATH=. python benchmarks/cells.py --data fashion-mnist --cells 16 --steps 800

Random cells of a space each stand in two networks: a proxy, and a target of more and wider cells.
All are trained alone, from fresh weights, for the same number of steps, and judged on images of the
search split. Spearman's rank correlation of the two losses over cells is what transfer of cells
relies on (Zoph et al., 2018, section 3); what is finished in `--out` is not repeated.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from nas.cli.console import print_table
from nas.data import load_data
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.standalone.train import fresh_network, trained_alone
from nas.system.files import make_folder
from search_spaces import Option, SearchSpace, load_space, task_of
from supernets.plan import TrainPlan

SIZES: Mapping[str, Mapping[str, Option]] = {
    "proxy": {"depth": 2, "width": 8},
    "target": {"depth": 4, "width": 16},
}


def cells_of(space: SearchSpace, number: int, seed: int) -> list[dict[str, Option]]:
    """Options of different random cells, without how often and how wide they are."""
    rows = space.sample(np.random.default_rng(seed), 4 * number).tolist()
    found = {}
    for row in rows:
        arch = space.candidate(row).arch
        cell = {name: option for name, option in arch.items() if "." in name}
        found[tuple(cell.items())] = cell
    return list(found.values())[:number]


def main() -> None:
    """Prints a row per cell, then the correlation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--resolution", type=int, help="pixels; the data's own by default")
    parser.add_argument("--space", default="cells")
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/cells-benchmark"))
    asked = parser.parse_args()
    data = load_data(asked.data, resolution=asked.resolution)
    images, loss = training_images(data), task_of(data.task).loss.name
    space = load_space(
        asked.space,
        resolution=data.resolution,
        channels=data.channels,
        num_classes=data.num_outputs,
    )
    plan = TrainPlan(steps=asked.steps, batch_size=asked.batch, shards=1, seed=asked.seed)
    rows, losses = [], []
    for number, cell in enumerate(cells_of(space, asked.cells, asked.seed)):
        found = {}
        for name, size in SIZES.items():
            candidate = space.candidate(space.encode({**cell, **size}))
            network = fresh_network(space, candidate, asked.seed)
            folder = make_folder(asked.out / f"{number}-{name}")
            trained_alone(network, images, folder, lambda: plan)
            found[name] = judged(network, data, images, num_images=len(data.search))[loss]
        losses.append([found[name] for name in SIZES])
        rows.append([str(number), *(f"{found[name]:.4f}" for name in SIZES)])
        print_table(["cell", *(f"{name} {loss}" for name in SIZES)], rows[-1:])
    correlation = spearmanr(*np.transpose(losses)).statistic
    print(f"Spearman's rank correlation over {len(rows)} cells: {correlation:.2f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
