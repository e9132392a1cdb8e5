"""What is learnt without labels: does it rank networks, and are its features of use?

    python benchmarks/without_labels.py rank --steps 400 --networks 20 --seeds 3
    python benchmarks/without_labels.py neighbours --steps 400 --seeds 3

Every training has `--steps` steps of two batches of `--batch` images. `rank` trains one supernet on
how images were turned (`rotations`) and one on labels (`sortednet`), and compares how they rank the
same random networks: Spearman's correlation of the losses, each of its own supernet. `neighbours`
trains one by `elastic-student` without labels, and judges the smallest, a middle and the largest
member by the labels of the ten nearest training images, by the cosine of mean features in front of
the head; beside them the same members of fresh weights.
"""

import argparse
from collections.abc import Mapping
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
import torch
from _trained import BATCH, images_of, member, sized, space_for, trained
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

from nas.cli.console import print_table
from nas.data import DataSet, load_data
from search_spaces import SearchSpace
from supernets.methods.rotations import TURNED, turned
from supernets.plan import TrainPlan
from supernets.supernet import Supernet

NEIGHBOURS, KNOWN = 10, 2000
SIZES = {"smallest": 0.0, "middle": 0.5, "largest": 1.0}
"""Members by how far all their sizes are along what is offered."""


class Question(NamedTuple):
    """What a supernet is trained on, and its members are asked.

    Attributes:
        method: How it is trained.
        settings: Of the method.
        calibration: Images for batch norms.
        images: Asked about.
        answers: Right ones.
        num_outputs: That answer, the first ones.
    """

    method: str
    settings: Mapping[str, Any]
    calibration: Tensor
    images: Tensor
    answers: Tensor
    num_outputs: int

    @torch.no_grad()
    def loss(self, network: nn.Module) -> float:
        """Cross entropy."""
        asked = self.images.split(BATCH)
        logits = torch.cat([network(images)[:, : self.num_outputs] for images in asked])
        return float(F.cross_entropy(logits, self.answers))


def correlation(
    space: SearchSpace, data: DataSet, plan: TrainPlan, networks: int, images: int
) -> float:
    """Spearman's, of losses on turns with losses on labels."""
    drawn = space.canonical_many(space.sample(np.random.default_rng(0), 4 * networks))
    rows = np.random.default_rng(1).permutation(np.unique(drawn, axis=0))[:networks].tolist()
    judged, calibration = data.search.take(images), images_of(data, data.calibration)
    found, labels = images_of(data, judged), torch.from_numpy(judged.labels_N)
    blind = {"pretext_share": 1.0}
    losses = []
    for question in (
        Question("rotations", blind, turned(calibration)[0], *turned(found), TURNED),
        Question("sortednet", {}, calibration, found, labels, len(data.classes)),
    ):
        supernet = trained(space, data, plan, question.method, **question.settings)
        members = (member(supernet, space.slots(row), question.calibration) for row in rows)
        losses.append([question.loss(network) for network in members])
    return float(spearmanr(*losses).statistic)


@torch.no_grad()
def nearest(network: nn.Module, data: DataSet, images: int) -> float:
    """% of images whose label most of their nearest training images have."""
    seen: list[Tensor] = []
    network.get_submodule("head").register_forward_pre_hook(lambda _, read: seen.append(read[0]))

    def features(split: Any) -> Tensor:
        seen.clear()
        for batch in images_of(data, split).split(BATCH):
            network(batch)
        return F.normalize(torch.cat([map_BCHW.mean((2, 3)) for map_BCHW in seen]), dim=1)

    known, asked = data.train.take(KNOWN), data.search.take(images)
    near_NK = (features(asked) @ features(known).T).topk(NEIGHBOURS).indices
    votes_N = torch.from_numpy(known.labels_N)[near_NK].mode(1).values
    return 100 * float((votes_N == torch.from_numpy(asked.labels_N)).float().mean())


def neighbours(
    space: SearchSpace, data: DataSet, plan: TrainPlan, images: int
) -> dict[str, list[float]]:
    """By size, of fresh and of trained weights."""
    fresh = Supernet(space, seed=plan.seed)
    supernets = (fresh, trained(space, data, plan, "elastic-student", labels_share=0.0))
    calibration = images_of(data, data.calibration)
    found: dict[str, list[float]] = {}
    for size, share in SIZES.items():
        slots = space.slots(sized(space, share))
        networks = [member(supernet, slots, calibration) for supernet in supernets]
        found[size] = [nearest(network, data, images) for network in networks]
    return found


def main() -> None:
    """Prints a row per seed, or per size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("rank", "neighbours"))
    parser.add_argument("--data", default="digits")
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    data = load_data(asked.data, resolution=asked.resolution)
    space = space_for(asked.space, data)
    plans = [
        TrainPlan(steps=asked.steps, batch_size=asked.batch, seed=seed)
        for seed in range(asked.seeds)
    ]
    if asked.what == "rank":
        found = [correlation(space, data, plan, asked.networks, asked.images) for plan in plans]
        rows = [[str(seed), f"{value:.2f}"] for seed, value in enumerate(found)]
        print_table(["seed", "Spearman"], [*rows, ["mean", f"{mean(found):.2f}"]])
        return
    by_seed = [neighbours(space, data, plan, asked.images) for plan in plans]
    means = {
        size: [f"{mean(column):.1f}" for column in zip(*(of[size] for of in by_seed), strict=True)]
        for size in SIZES
    }
    rows = [[size, *numbers] for size, numbers in means.items()]
    print_table(["member", "fresh, %", "trained, %"], rows)


if __name__ == "__main__":
    main()
