"""What is left of networks in larger windows than they learnt in: biases by a network, and tables.

    PYTHONPATH=. python benchmarks/larger_windows.py --steps 400 --seeds 3

Networks of `window` and of `swinv2` learn images of 16 px, where windows of the second stage have
4x4 positions, and are then asked about the same images at 32 px, where they have 8x8. Tables of
biases are interpolated bicubically, as in Swin; the biases of `swinv2` follow from its weights.
Batch norms are measured anew at both sizes. Accuracy, % of 2,000 images of the search split.

Liu et al., Swin Transformer V2 (2022), table 1, claims that the latter lose less.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean, pstdev

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.standalone.train import fresh_network, trained_alone
from search_spaces import Options, SearchSpace, Slot, Stage, Staged, declaration, pyramid
from search_spaces.operators._base import OPERATORS
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan

SMALL, LARGE, IMAGES, BATCH = 16, 32, 2000, 64
COMPARED = ("window", "swinv2")


def main() -> None:
    """Print a row per operator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=400, help="of every training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default="fashion-mnist")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    small, large = (load_data(asked.data, resolution=px) for px in (SMALL, LARGE))
    rows = []
    for operator in COMPARED:
        found = [judged_at_both(operator, small, large, asked.steps, s) for s in range(asked.seeds)]
        lost = [at_small - at_large for at_small, at_large in found]
        numbers = *zip(*found, strict=True), lost
        rows.append([operator, *(f"{mean(each):.1f} ± {pstdev(each):.1f}" for each in numbers)])
    print_table(["operator", f"{SMALL} px, %", f"{LARGE} px, %", "lost"], rows)


def judged_at_both(
    operator: str, small: DataSet, large: DataSet, steps: int, seed: int
) -> tuple[float, float]:
    """Accuracy at the size that was learnt and at twice that, %."""
    space = space_of(operator, small)
    network = fresh_network(space, space.candidate(space.canonical([0] * len(space.choices))), seed)
    images = training_images(small)
    plan = TrainPlan(steps=steps, batch_size=BATCH, shards=1, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        trained_alone(network, images, Path(folder), lambda: plan)
    other = PlainNetwork([enlarged(slot) for slot in network.arch])
    other.load_state_dict(fitted(network.state_dict(), other.state_dict()))
    at_both = (network, small), (other.eval(), large)
    found = [
        100 * judged(each, data, images, num_images=IMAGES)["accuracy"] for each, data in at_both
    ]
    print(f"  {operator}, seed {seed}: {found[0]:.1f}, {found[1]:.1f}", flush=True)
    return found[0], found[1]


def space_of(operator: str, data: DataSet) -> SearchSpace:
    """One network: a block of 32 and one of 64 channels."""
    stages = tuple(
        Stage(
            widths=(32 * 2**i,),
            depths=(1,),
            operators=(operator,),
            options=(("num_heads", (2 * 2**i,)), ("expand_ratio", (2,))),
        )
        for i in range(len(pyramid(data.resolution).sizes))
    )
    network = Staged(
        resolution=data.resolution,
        channels=data.channels,
        num_classes=len(data.classes),
        stages=stages,
    )
    return SearchSpace.of_network(operator, network)


def enlarged(slot: Slot) -> Slot:
    """The slot where maps have twice the sides."""
    signature = slot.signature
    sizes = {
        name: tuple(2 * side if side > 1 else side for side in getattr(signature.shape, name))
        for name in ("in_size", "size")
    }
    shape, pick = replace(signature.shape, **sizes), signature.pick
    if signature.operator in OPERATORS:
        rule = declaration(signature.operator)
        picked = {**rule.defaults, **pick}
        pick = rule.normalise(Options({dim: picked[dim] for dim in rule.dims}), shape)
    return replace(slot, signature=replace(signature, shape=shape, pick=pick))


def fitted(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with tables of biases interpolated to the sizes that are wanted."""
    return {name: _table(tensor, wanted[name].shape) for name, tensor in state.items()}


def _table(table: Tensor, shape: torch.Size) -> Tensor:
    if table.shape == shape:
        return table
    sides = [round(each[-1] ** 0.5) for each in (table.shape, shape)]
    square = table.reshape(1, -1, sides[0], sides[0])
    size = (sides[1], sides[1])
    return F.interpolate(square, size, mode="bicubic", align_corners=False).reshape(shape)


if __name__ == "__main__":
    main()
