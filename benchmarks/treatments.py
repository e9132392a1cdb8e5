"""Sparsity patterns, two layers of low rank in place of one, or fewer channels and heads?

    PYTHONPATH=. python benchmarks/treatments.py --model vit --minutes 1 --seeds 2
    PYTHONPATH=. python benchmarks/treatments.py --patterns blocks-32-50,blocks-32-25 --ranks ""

A plain network of linear layers is trained for `--minutes` and brought. It gets a pattern or a
rank in all parts, and is pruned alike in all groups to the multiply-adds nearest to a rank's.
"weighted" are factors that are nearest for what layers read, on `--images` of the training split,
instead of for all that they might read; on them outputs say which blocks matter, and "by magnitude"
they do not. Accuracy, % of the search split, right away and after `--steps` steps of training with
the network as the teacher; latency of files in interleaved rounds of fresh processes, in `--timing`
seconds, or not at all.
"""

import argparse
import copy
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from criteria import TUNING_RATE, Task, training_images
from torch import Tensor, nn

from compress.bring.bring import bring, give_weights, space_of
from compress.export import export_onnx
from compress.sparse import kept_sparse, sparsify_
from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.system.text import words
from nas.targets import Timing, measure
from search_spaces import DENSE, FULL_RANK, SearchSpace, pattern_of
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from supernets.supernet import Supernet
from supernets.teachers import LiveTeacher, Teaching
from supernets.traced._factors import TwoLayers
from supernets.train import train
from tests.compress.bring.models import Mixer, ViT

SPARSITIES = tuple(round(0.05 * i, 2) for i in range(19))
PROCESSES = 5
LEAST_VARIANCE = 1e-4
"""Of the mean, added to what layers read, so that it has a square root."""

WIDTH = 128
MODELS: dict[str, Callable[[DataSet], nn.Module]] = {
    "vit": lambda data: ViT(data.channels, len(data.classes), data.resolution, WIDTH),
    "mixer": lambda data: Mixer(
        data.channels, len(data.classes), data.resolution, WIDTH, hidden=4 * WIDTH
    ),
}


@dataclass(frozen=True)
class Row:
    """What became of one network.

    Attributes:
        macs: Multiply-adds, millions.
        before: % right before training.
        after: % right after it.
        ms: Median latency of its file.
    """

    macs: float
    before: float
    after: float
    ms: float


def main() -> None:
    """Print a row per way, means over seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="vit")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--patterns", type=words, default=("two-of-four",))
    parser.add_argument("--ranks", type=words, default=("1/2", "1/4"))
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--timing", type=float, default=25.0, help="seconds; 0 for no latencies")
    asked = parser.parse_args()
    data = load_data(asked.data, resolution=asked.resolution)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    found = [compared(asked, data, seed) for seed in seeds]
    rows = []
    for name in found[0]:
        of = [rows_of[name] for rows_of in found]
        numbers = (mean(getattr(row, field) for row in of) for field in Row.__annotations__)
        macs, before, after, ms = numbers
        rows.append([name, f"{macs:.2f}", f"{before:.1f}", f"{after:.1f}", f"{ms:.3f}"])
    print_table(["network", "MMACs", "right away, %", "trained, %", "ms"], rows)


def compared(asked: argparse.Namespace, data: DataSet, seed: int) -> dict[str, Row]:
    """By way and rank what became of a network, with one seed."""
    task = Task(data=data, num_images=2000, steps=asked.steps, seed=seed)
    network = taught(task, MODELS[asked.model], asked.minutes)
    brought = bring("network", network.eval(), channels=data.channels, resolution=data.resolution)
    space = space_of(brought).with_policy(
        ("fp32",),
        SPARSITIES,
        patterns=(DENSE, *asked.patterns),
        ranks=(FULL_RANK, *asked.ranks),
    )
    supernet = Supernet(space)
    give_weights(supernet, brought)
    supernet.rank()
    supernet.eval()
    images = torch.from_numpy(data.normalised(data.train.images_NCHW[: asked.images]))
    networks: dict[str, tuple[tuple[int, ...], PlainNetwork]] = {}

    def add(name: str, encoding: tuple[int, ...], *batches: Tensor) -> PlainNetwork:
        networks[name] = encoding, supernet.extract(space.slots(encoding))
        sparsify_(networks[name][1], space.slots(encoding), batches)
        return networks[name][1]

    add("as it is", space.canonical([0] * len(space.choices)))
    for pattern in asked.patterns:
        sparse = everywhere(space, "pattern", pattern)
        add(pattern, sparse, *images.split(128))
        if pattern_of(pattern).is_blocked:
            add(f"{pattern}, by magnitude", sparse)
    read = covariances(supernet, images) if asked.ranks else {}
    for rank in asked.ranks:
        low = everywhere(space, "rank", rank)
        add(f"rank {rank}", low)
        weigh_(add(f"rank {rank}, weighted", low), supernet, read)
        add(f"pruned as rank {rank}", pruned_to(space, macs_of(space, low)))
    return measured(task, space, networks, network, asked.timing)


def measured(
    task: Task,
    space: SearchSpace,
    networks: dict[str, tuple[tuple[int, ...], PlainNetwork]],
    teacher: nn.Module,
    timing_s: float,
) -> dict[str, Row]:
    """Accuracy and latency of each network, by its name."""
    plan = TrainPlan(steps=task.steps, batch_size=64, shards=1, seed=task.seed)
    plan = replace(plan, learning_rate=TUNING_RATE * plan.peak_rate)
    accuracy: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.onnx" for number in range(len(networks))]
        for (_, network), file in zip(networks.values(), files, strict=True):
            sides = (task.data.resolution, task.data.resolution)
            export_onnx(network.eval(), file, shape=(task.data.channels, *sides))
        for name, (encoding, network) in networks.items():
            before = task.accuracy(network)
            with tempfile.TemporaryDirectory() as state:
                batches = AloneBatches(plan, Teaching(LiveTeacher(teacher)))
                module = kept_sparse(lambda network: network, space.slots(encoding))(network)
                train(module, training_images(task.data), plan, batches, directory=Path(state))
            network.state_dict()  # with zeros where the pattern has them
            accuracy[name] = before, task.accuracy(network)
            print(f"  {name}: {before:.1f} {accuracy[name][1]:.1f}", flush=True)
        medians_ms = [math.nan] * len(files)
        if timing_s:
            timings = measure("onnxruntime", files, processes=PROCESSES, budget_s=timing_s)
            medians_ms = [t.median_ms for t in timings if isinstance(t, Timing)]
    return {
        name: Row(macs_of(space, encoding) / 1e6, *accuracy[name], median_ms)
        for (name, (encoding, _)), median_ms in zip(networks.items(), medians_ms, strict=True)
    }


def taught(task: Task, make: Callable[[DataSet], nn.Module], minutes: float) -> nn.Module:
    """A network after so many minutes of training, after a speed test."""
    torch.manual_seed(task.seed)
    test = replace(task.plan, steps=10)
    network = task.trained(make(task.data), test)
    started = time.perf_counter()
    task.trained(network, test)
    steps = int(10 * 60 * minutes / (time.perf_counter() - started))
    network = task.trained(make(task.data), replace(task.plan, steps=steps))
    print(f"seed {task.seed}: {task.accuracy(network):.1f} % after {steps} steps", flush=True)
    return network


def everywhere(space: SearchSpace, dimension: str, option: object) -> tuple[int, ...]:
    """The member with this option of all choices of a dimension."""
    row = [0] * len(space.choices)
    for column in space.columns(dimension):
        row[column] = space.choices[column].options.index(option)
    return space.canonical(row)


def macs_of(space: SearchSpace, encoding: tuple[int, ...]) -> float:
    """Multiply-adds of a member."""
    assert space.costs is not None
    return float(space.costs.of("macs", np.array([encoding]))[0])


def pruned_to(space: SearchSpace, macs: float) -> tuple[int, ...]:
    """The member whose groups all lose the same share, with multiply-adds nearest to these."""
    members = [everywhere(space, "sparsity", sparsity) for sparsity in SPARSITIES]
    return min(members, key=lambda encoding: abs(macs_of(space, encoding) - macs))


@torch.no_grad()
def covariances(supernet: Supernet, images: Tensor) -> dict[str, Tensor]:
    """Of what each linear layer of the whole network reads: mean products, (inputs, inputs)."""
    network = supernet.extract(supernet.space.slots([0] * len(supernet.space.choices)))
    found: dict[str, Tensor] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            rows = inputs[0].flatten(0, -2)
            found[name] = rows.T @ rows / len(rows)

        return hook

    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(record(name))
    network(images)
    return found


@torch.no_grad()
def weigh_(network: PlainNetwork, supernet: Supernet, read: dict[str, Tensor]) -> None:
    """Give linear layers of low rank the factors that err least for what they read."""
    whole = supernet.extract(supernet.space.slots([0] * len(supernet.space.choices)))
    for name, module in network.named_modules():
        if not isinstance(module, TwoLayers) or not isinstance(module.second, nn.Linear):
            continue
        weight, products = whole.get_submodule(name).weight, copy.deepcopy(read[name])
        products += LEAST_VARIANCE * products.diagonal().mean() * torch.eye(len(products))
        root = torch.linalg.cholesky(products)
        left, singular, right = torch.linalg.svd(weight @ root, full_matrices=False)
        rank = module.second.in_features
        scale = singular[:rank].sqrt()
        module.second.weight.copy_(left[:, :rank] * scale)
        first = scale[:, None] * right[:rank]
        module.first.weight.copy_(torch.linalg.solve_triangular(root.T, first.T, upper=True).T)


if __name__ == "__main__":
    main()
