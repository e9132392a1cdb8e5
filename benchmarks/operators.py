"""What operators are worth: accuracy of small networks in equal steps, and latency of one block.

    PYTHONPATH=. python benchmarks/operators.py --minutes 30 --seeds 3
    PYTHONPATH=. python benchmarks/operators.py --operators convnext,unireplk:kernel_size=13

An operator is named with options; others are those of `OPTIONS`. Its network has one block per
stage, widths of 16, 32 and 64, in fp32. All networks get the same number of steps, as many as
`--minutes` allow for all of them together on one thread, with `--seeds` seeds each. Accuracy, % of
2,000 images of the search split: means and standard deviations over seeds. A block of `--width`
channels on `--side` px is timed as deployed and, where that is another network, as trained, in
interleaved rounds of fresh processes.

What the papers claim, and which rows to compare: `basic` with densities; `spartan:expand_ratio=2`
against `convnext:expand_ratio=4`; `unireplk` deployed against trained; `lsconv` against `window`;
`vig` against `sra:sr_ratio=1` at growing `--side`; `efficientvmamba` against `mbconv`.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, pstdev

import torch
from torch import nn

from compress.export import export_onnx
from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.prepare.pilot import judged
from nas.prepare.plan import training_images
from nas.standalone.train import alone_plan, fresh_network, seconds_per_step, trained_alone
from nas.system.text import setting, words
from nas.targets import Timing, measure
from search_spaces import (
    FULL_PRECISION,
    Candidate,
    Options,
    SearchSpace,
    Shape,
    Signature,
    Stage,
    Staged,
    declaration,
    pyramid,
    signature_cost,
)
from supernets._merged import AbstractMerged
from supernets.fold import folded
from supernets.network import plain_module
from supernets.plan import TrainPlan

OPTIONS = {
    "kernel_size": 7,
    "expand_ratio": 4,
    "order": 3,
    "num_elements": 16,
    "num_bands": 3,
    "num_heads": 2,
    "sr_ratio": 2,
}
OPERATORS = (
    "basic,basic:density=0.5,basic:density=0.75,basic:density=1.5,convnext,spartan:expand_ratio=2,"
    "unireplk:kernel_size=13,hornet,metamixer,lsconv,dcls:kernel_size=13,tvconv:kernel_size=3,fdconv"
)
WIDTH, IMAGES, BATCH = 16, 2000, 64
PROCESSES, SPEED_STEPS = 5, 4


@dataclass(frozen=True)
class Named:
    """An operator with options, "convnext:kernel_size=7".

    Attributes:
        name: As it was asked for.
        operator: The operator.
        options: All that it reads and that have no default, or were given.
    """

    name: str
    operator: str
    options: Mapping[str, int | float]

    @staticmethod
    def of(name: str) -> "Named":
        """From the command line."""
        operator, *given = name.split(":")
        asked = dict(map(setting, given))
        rule = declaration(operator)
        read = {dim: OPTIONS[dim] for dim in rule.dims if dim in OPTIONS}
        return Named(name, operator, {**read, **asked})

    def network(self, data: DataSet) -> tuple[SearchSpace, Candidate]:
        """A space of one network, and that."""
        stages = tuple(
            Stage(
                widths=(WIDTH * 2**i,),
                depths=(1,),
                operators=(self.operator,),
                options=tuple((name, (option,)) for name, option in self.options.items()),
            )
            for i in range(len(pyramid(data.resolution).sizes))
        )
        network = Staged(
            resolution=data.resolution,
            channels=data.channels,
            num_classes=len(data.classes),
            stages=stages,
        )
        space = SearchSpace.of_network(self.operator, network)
        return space, space.candidate(space.canonical([0] * len(space.choices)))

    def block(self, width: int, side: int) -> Signature:
        """One block, in fp32."""
        rule, shape = declaration(self.operator), Shape.square(side, side, width, width)
        pick = rule.normalise(Options({**rule.defaults, **self.options}), shape)
        kept = Options({name: group.size for name, group in rule.groups(pick, shape).items()})
        return Signature(self.operator, shape, pick, kept, FULL_PRECISION)


def main() -> None:
    """Print a row per operator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operators", type=words, default=words(OPERATORS))
    parser.add_argument("--minutes", type=float, default=30.0, help="of all trainings; 0 for none")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    named = [Named.of(name) for name in asked.operators]
    accuracies = learnt(named, asked) if asked.minutes else {}
    times = timed(named, asked)
    rows = []
    for each in named:
        cost = signature_cost(each.block(asked.width, asked.side))
        found = accuracies.get(each.name, [])
        shown = f"{mean(found):.1f} ± {pstdev(found):.1f}" if found else ""
        row = [each.name, shown, f"{cost.macs / 1e6:.2f}", f"{cost.params / 1e3:.1f}"]
        rows.append([*row, *times[each.name]])
    header = ["operator", "accuracy %", "MMACs", "1000 parameters", "ms", "as trained"]
    print_table(header, rows)


def learnt(named: Sequence[Named], asked: argparse.Namespace) -> dict[str, list[float]]:
    """Accuracy of every network by its name, %, one per seed."""
    data = load_data(asked.data, resolution=asked.resolution)
    images = training_images(data)
    plan = TrainPlan(steps=SPEED_STEPS, batch_size=BATCH, shards=1)
    each_s = [
        seconds_per_step(fresh_network(*each.network(data), 0), images, plan) for each in named
    ]
    steps = max(1, int(60 * asked.minutes / asked.seeds / sum(each_s)))
    print(f"{steps} steps of {BATCH} images", flush=True)
    found: dict[str, list[float]] = {each.name: [] for each in named}
    for seed in range(asked.seeds):
        for each in named:
            network = fresh_network(*each.network(data), seed)
            decide = _planned(TrainPlan(steps=steps, batch_size=BATCH, shards=1, seed=seed), steps)
            with tempfile.TemporaryDirectory() as folder:
                trained_alone(network, images, Path(folder), decide)
            metrics = judged(network, data, images, num_images=IMAGES)
            found[each.name].append(100 * metrics["accuracy"])
            print(f"  seed {seed}, {each.name}: {found[each.name][-1]:.1f}", flush=True)
    return found


def _planned(plan: TrainPlan, steps: int) -> Callable[[], TrainPlan]:
    return lambda: alone_plan(plan, steps=steps)


def timed(named: Sequence[Named], asked: argparse.Namespace) -> dict[str, list[str]]:
    """Milliseconds of a block by name, as deployed and as trained."""
    with tempfile.TemporaryDirectory() as folder:
        files: dict[tuple[str, str], Path] = {}
        for number, each in enumerate(named):
            module = plain_module(each.block(asked.width, asked.side)).eval()
            forms: dict[str, nn.Module] = {"deployed": folded(module)}
            if any(isinstance(part, AbstractMerged) for part in module.modules()):
                forms["trained"] = module
            for form, network in forms.items():
                files[each.name, form] = Path(folder, f"{number}{form}.onnx")
                shape = (asked.width, asked.side, asked.side)
                export_onnx(network, files[each.name, form], shape=shape)
        timings = measure(
            "onnxruntime", [*files.values()], processes=PROCESSES, budget_s=asked.seconds
        )
    shown = {
        key: f"{timing.median_ms:.3f}" if isinstance(timing, Timing) else "-"
        for key, timing in zip(files, timings, strict=True)
    }
    return {
        each.name: [shown[each.name, "deployed"], shown.get((each.name, "trained"), "")]
        for each in named
    }


if __name__ == "__main__":
    main()
