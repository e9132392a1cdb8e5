"""Do stitched networks lie between the models they are made of? Accuracy of every path.

    python benchmarks/stitching.py --data digit-pairs --widths 8,24 --steps 600 --tuning 600
    python benchmarks/stitching.py --versions v1,v2 --depth 2

Models of one operator, `--depth` blocks per stage and the given width in the first one (twice as
many in every stage after it), are trained alone for `--steps` steps each, stitched (`nas stitch`),
and the family is trained for `--tuning` steps, two batches each, as `nas compress` does. A row per
path: multiply-adds, accuracy and log-loss when it begins and when it is trained, and how far its
accuracy is from the chord, the straight line in multiply-adds between the smallest and the largest
trained model. Everything is in fp32 on one thread; `--images` of the search split, after batch-norm
recalibration.

Version v1 is Stitchable Neural Networks: ways into larger models, all of a stitch is learnt, paths
take turns. v2 is Stitched ViTs: ways back, too, updates of `--rank` beside frozen stitches, bins of
multiply-adds take turns (`cost-bins`). v1-bins, v2-ways and v2-updates have bins, and neither or
one of the other two. Several are made of the same models and trained for equally many steps; a last
table has for each the best accuracy and log-loss within some limits of multiply-adds.
"""

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

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
from supernets.methods._base import METHODS
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

FIRST = 128
"""Images by which stitches begin."""

TUNING_RATE = 0.2
"""Of a fresh network's rate: the family has learnt already."""

LIMITS = 6
"""Of multiply-adds, at equal distances between the smallest and the largest model."""


class Version(NamedTuple):
    """How a family is made and trained."""

    is_two_way: bool
    has_updates: bool
    method: str


VERSIONS = {
    "v1": Version(False, False, "sortednet"),
    "v1-bins": Version(False, False, "cost-bins"),
    "v2-ways": Version(True, False, "cost-bins"),
    "v2-updates": Version(False, True, "cost-bins"),
    "v2": Version(True, True, "cost-bins"),
}

Judged = list[dict[str, float]]


def model(
    space: SearchSpace, data: DataSet, images: Images, width: int, asked: argparse.Namespace
) -> Brought:
    """One of the models, trained alone."""
    taken = {choice.name: choice.options[0] for choice in space.choices}
    for number, column in enumerate(space.columns("width")):
        taken[space.choices[column].name] = width * 2**number
    taken |= {space.choices[column].name: asked.depth for column in space.columns("depth")}
    taken |= {space.choices[column].name: asked.operator for column in space.columns("operator")}
    network = fresh_network(space, space.candidate(space.encode(taken)), 0)
    plan = TrainPlan(steps=asked.steps, channels_last=True)
    with tempfile.TemporaryDirectory() as folder:
        trained_alone(network, images, Path(folder), partial(alone_plan, plan, steps=asked.steps))
    judged(network, data, images, num_images=asked.images)  # measures its statistics
    assert space.network is not None
    sizes = {"channels": space.network.channels, "resolution": space.network.resolution}
    return bring(f"{asked.operator}{width}", network, **sizes)


def of_all_paths(supernet: Supernet, data: DataSet, images: Images, num_images: int) -> Judged:
    """What every path answers."""
    space = supernet.space
    return [
        judged(supernet.extract(space.slots((number,))), data, images, num_images=num_images)
        for number in range(len(space.choice(PATH).options))
    ]


def tuned(supernet: Supernet, images: Images, steps: int, method: str) -> Supernet:
    """The supernet, trained further."""
    rate = TUNING_RATE * TrainPlan(steps=steps).peak_rate
    plan = TrainPlan(steps=steps, channels_last=True, learning_rate=rate)
    dense = steps * plan.shards
    batches = SupernetBatches(plan, METHODS.get(method)(space=supernet.space, sparse_from=dense))
    with tempfile.TemporaryDirectory() as folder:
        train(supernet, images, plan, batches, directory=Path(folder))
    return supernet.eval()


def main() -> None:
    """Prints a row per path, and of several versions a row per limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digit-pairs")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--operator", default="basic")
    parser.add_argument("--widths", type=words, default=("8", "24"))
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--tuning", type=int, default=600)
    parser.add_argument("--versions", type=words, default=("v1",), help=", ".join(VERSIONS))
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--images", type=int, default=2000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = make_config({"data": asked.data, "data_dir": asked.data_dir, "space": "hybrid"})
    data, space, _ = prepare(config)
    images = training_images(data)
    models = [model(space, data, images, int(width), asked) for width in asked.widths]
    first = images.normalised(torch.from_numpy(data.calibration.take(FIRST).images_NCHW)).split(32)
    found = {}
    for name in asked.versions:
        version = VERSIONS[name]
        rank = asked.rank if version.has_updates else 0
        family = stitched(models, first, is_two_way=version.is_two_way, update_rank=rank)
        own = space_of(family)
        supernet = Supernet(own).eval()
        give_weights(supernet, family)
        before = of_all_paths(supernet, data, images, asked.images)
        supernet = tuned(supernet, images, asked.tuning, version.method)
        after = of_all_paths(supernet, data, images, asked.images)
        found[name] = (macs_of(own), after)
        print(f"{name}: {len(after)} paths")
        print_table(*table(own, before, after, len(models)))
    if len(found) > 1:
        print_table(*by_limit(found))


def macs_of(space: SearchSpace) -> np.ndarray:
    """Multiply-adds of every path, (P,)."""
    assert space.costs is not None
    return space.costs.of("macs", np.arange(len(space.choice(PATH).options))[:, None])


def by_limit(found: dict[str, tuple[np.ndarray, Judged]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: of every version the best accuracy and log-loss within each limit."""
    macs_P = next(iter(found.values()))[0]
    rows = []
    for limit in np.linspace(macs_P.min(), macs_P.max(), LIMITS):
        row = [f"{limit / 1e6:.2f}"]
        for macs_P, after in found.values():
            within = [one for one, macs in zip(after, macs_P, strict=True) if macs <= limit]
            row.append(f"{100 * max(one['accuracy'] for one in within):.1f}")
            row.append(f"{min(one['log_loss'] for one in within):.3f}")
        rows.append(row)
    return ["MMACs", *(f"{name} {what}" for name in found for what in ("%", "log-loss"))], rows


def table(
    space: SearchSpace, before: Judged, after: Judged, num_models: int
) -> tuple[Sequence[str], list[list[str]]]:
    """Header and rows, the smallest network first."""
    paths, macs_P = space.choice(PATH).options, macs_of(space)
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
