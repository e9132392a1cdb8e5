"""What does a network lose that has learnt with all tokens, and then sees fewer, without training?

    PYTHONPATH=. python benchmarks/tokens.py --by clusters --options 1,2,4 --data fashion-mnist
    PYTHONPATH=. python benchmarks/tokens.py --by scans --options 1,0.75,0.5 --data fashion-mnist

One network of two stages, the first of `--depth` blocks, is trained alone for `--steps` steps with
all tokens. Then, with the same weights, blocks of its first stage behind the first one run on
clusters of so many positions (`sra`, global attention), or the scans of all blocks leave tokens out
(`msvmamba`). Accuracy and log-loss of `--images` images of the search split, with batch-norm
statistics of that network; multiply-adds; medians of fp32 files on one thread of onnxruntime, in
interleaved fresh processes. With `--steps 0` only the costs are looked at, as with `--resolution`
and `--stride` of larger maps.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch

from compress.export import export_onnx
from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from nas.system.text import words
from nas.targets import Timing, measure
from search_spaces import Option, SearchSpace, Stage, Staged, pyramid
from search_spaces._clusters import TOKENS_PER_CLUSTER
from search_spaces._metrics import costs_of
from search_spaces._scans import TOKEN_SHARE
from supernets.fold import folded
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan

OPERATORS = {"clusters": "sra", "scans": "msvmamba"}
CHOICES = {"clusters": f"stage1.{TOKENS_PER_CLUSTER}", "scans": TOKEN_SHARE}
"""What a choice's name ends in."""

PROCESSES = 5
HEADER = ["option", "accuracy %", "log-loss", "MMACs", "ms", "times as fast"]


def space_of(asked: argparse.Namespace, data: DataSet, options: tuple[Option, ...]) -> SearchSpace:
    """A network that may see fewer tokens, and nothing else to be decided."""
    dims: dict[str, tuple[Option, ...]] = {"expand_ratio": (3,)}
    if asked.by == "clusters":
        dims |= {"num_heads": (2,), "sr_ratio": (1,)}
    else:
        dims[TOKEN_SHARE] = options
    clusters = tuple(map(int, options)) if asked.by == "clusters" else (1,)
    sizes = pyramid(data.resolution, asked.stride).sizes
    stages = tuple(
        Stage(
            widths=(asked.width * 2**number,),
            depths=(1 if number else asked.depth,),
            operators=(OPERATORS[asked.by],),
            options=tuple(dims.items()),
            tokens_per_cluster=(1,) if number else clusters,
        )
        for number in range(len(sizes))
    )
    network = Staged(
        resolution=data.resolution,
        channels=data.channels,
        num_classes=len(data.classes),
        stages=stages,
        stem_strides=(asked.stride,),
    )
    return SearchSpace.of_network("tokens", network).with_policy(("fp32",), (0.0,))


def networks(
    space: SearchSpace, ending: str, options: tuple[Option, ...], seed: int
) -> list[PlainNetwork]:
    """One of fresh weights per option."""
    found = []
    for option in options:
        taken = {c.name: c.options[0] for c in space.choices}
        taken |= {c.name: option for c in space.choices if c.name.endswith(ending)}
        found.append(fresh_network(space, space.candidate(space.encode(taken)), seed))
    return found


def learn(network: PlainNetwork, images: Images, plan: TrainPlan) -> None:
    """Trains the network, in place."""
    with tempfile.TemporaryDirectory() as folder:
        trained_alone(network, images, Path(folder), partial(alone_plan, plan, steps=plan.steps))


def milliseconds(several: list[PlainNetwork], data: DataSet, seconds: float) -> list[float]:
    """Medians of their files."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number}.onnx") for number in range(len(several))]
        for network, file in zip(several, files, strict=True):
            shape = (data.channels, *data.sides)
            export_onnx(folded(network.eval()), file, shape=shape)
        timings = measure("onnxruntime", files, processes=PROCESSES, budget_s=seconds)
    return [t.median_ms if isinstance(t, Timing) else float("nan") for t in timings]


def main() -> None:
    """Prints a row per option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--by", choices=tuple(OPERATORS), default="clusters")
    parser.add_argument("--options", type=words, default=words("1,2,4"), help="the first is all")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--resolution", type=int, default=28)
    parser.add_argument("--stride", type=int, default=2, help="of the stem")
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30.0, help="of timing; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(asked.data, resolution=asked.resolution)
    options = tuple(float(o) if asked.by == "scans" else int(o) for o in asked.options)
    space = space_of(asked, data, options)
    several = networks(space, CHOICES[asked.by], options, asked.seed)
    images, judgements = training_images(data), [{"accuracy": 0.0, "log_loss": 0.0}] * len(options)
    if asked.steps:
        plan = TrainPlan(steps=asked.steps, batch_size=asked.batch, seed=asked.seed)
        learn(several[0], images, plan)
        learnt = {name: tensor.clone() for name, tensor in several[0].state_dict().items()}
        judgements = []
        for network in several:
            network.load_state_dict(learnt)
            judgements.append(judged(network, data, images, num_images=asked.images))
    times = [0.0] * len(options)
    if asked.seconds:
        times = milliseconds(several, data, asked.seconds)
    rows = []
    for option, network, found, ms in zip(options, several, judgements, times, strict=True):
        macs = sum(costs_of(slot)["macs"] for slot in network.arch) / 1e6
        accuracy, log_loss = 100 * found["accuracy"], found["log_loss"]
        numbers = [f"{accuracy:.1f}", f"{log_loss:.3f}", f"{macs:.2f}", f"{ms:.3f}"]
        rows.append([f"{option:g}", *numbers, f"{times[0] / ms:.2f}" if ms else ""])
    print_table(HEADER, rows)


if __name__ == "__main__":
    main()
