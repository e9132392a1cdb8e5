"""What does a finalist learn most by in a given time, and does learning its grid help int8?

    python benchmarks/recovery.py --models ResNet,MobileNet --minutes 0.3 --seeds 2 --keep FOLDER
    python benchmarks/recovery.py --costs

Networks in plain PyTorch (`tests/compress/bring/models.py`) are trained on Fashion-MNIST and
brought; `basic`, `mbconv` and `window` are members of `hybrid` of widths from 16, trained on
digit-pairs. Those that were brought lose `--sparsity` of all groups and learn for a quarter of the
time with batch norm as in training, as members of a supernet have. From there every way of
training gets the same time of one thread, in steps whose costs are measured in turn; the last
share of it, if a way has one, is quantization-aware. A way is KIND:SHARE:RATE:AWARE_RATE: its kind
"batch", "tuned", or "untaught" without the network that was brought as a teacher; rates in the
optimizer's own. Judged on `--images` of the search split, in fp32 and in int8.
`--costs` compares one training step: its time, and what it keeps for the backward pass.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median

import torch
from torch import Tensor, nn

from compress.apply import Learnt, compress
from compress.aware import aware, grids_of
from compress.bring.bring import bring, give_weights, space_of
from compress.sparse import Making
from nas.cli.console import print_table
from nas.data import DataSet, load_data
from nas.finalists.finetuning import AWARE_RATE
from nas.prepare.inputs import prepare
from nas.prepare.plan import training_images
from nas.run.config import make_config
from nas.scoring.scorer import CALIBRATION_BATCH, CALIBRATION_IMAGES
from nas.standalone.train import as_it_is, fresh_network
from nas.system.environment import int8_products_saturate
from nas.system.text import words
from search_spaces import Slot, is_policy, task_of
from supernets.calibrate import recalibrated
from supernets.checkpoint import read_tensors, write_tensors
from supernets.fold import folded
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches
from supernets.supernet import Supernet
from supernets.teachers import LABELS_ONLY, LiveTeacher, Teaching
from supernets.train import fresh_state, lay_out, train
from supernets.tune import tuned
from tests.compress.bring import models

WIDTH, SPEED_STEPS, ROUNDS, SHARED = 16, 5, 15, 0.25
BATCH = 32
BATCH_NORM, UNTAUGHT, TUNED, AWARE = "batch", "untaught", "tuned", "aware"


@dataclass(frozen=True)
class Way:
    """How a finalist is trained.

    Attributes:
        is_tuned: Whether statistics are frozen.
        is_taught: By the network that was brought.
        aware_share: Of the time, in the end.
        rate: Peak, in the optimizer's own.
        aware_rate: Likewise, of that share.
    """

    is_tuned: bool
    is_taught: bool
    aware_share: float
    rate: float
    aware_rate: float

    @property
    def kind(self) -> str:
        """Of the steps before that share."""
        return TUNED if self.is_tuned else BATCH_NORM if self.is_taught else UNTAUGHT

    @staticmethod
    def of(text: str) -> "Way":
        """Of "tuned:0.3:0.1:0.2"; parts may be left out."""
        kind, share, rate, aware_rate, *_ = [*text.split(":"), "", "", ""]
        numbers = float(share or 0), float(rate or 1), float(aware_rate or AWARE_RATE)
        return Way(kind == TUNED, kind != UNTAUGHT, *numbers)


@dataclass(frozen=True)
class Case:
    """A network that has learnt, and what it learns from."""

    arch: tuple[Slot, ...]
    network: PlainNetwork
    data: DataSet
    images: Images
    teaching: Teaching

    @property
    def calibration(self) -> Sequence[Tensor]:
        """As scores have it."""
        found = self.data.calibration.take(CALIBRATION_IMAGES)
        images = torch.from_numpy(self.data.normalised(found.images_NCHW))
        return images.clone(memory_format=torch.channels_last).split(CALIBRATION_BATCH)

    @property
    def kinds(self) -> dict[str, Making]:
        """What a step may train."""
        return {BATCH_NORM: as_it_is, UNTAUGHT: as_it_is, TUNED: tuned, AWARE: self.aware}

    def aware(self, network: nn.Module) -> nn.Module:
        """With grids as exported here."""
        assert isinstance(network, PlainNetwork)
        saturates = int8_products_saturate()
        return aware(network, self.arch, self.calibration, needs_reduced_range=saturates)


def plan_of(steps: int, seed: int, rate: float = 1.0) -> TrainPlan:
    """The recipe of finalists."""
    plan = TrainPlan(steps=steps, batch_size=BATCH, shards=1, channels_last=True, seed=seed)
    return replace(plan, learning_rate=rate * plan.peak_rate)


def step_costs(case: Case, kinds: Mapping[str, Making], rounds: int) -> dict[str, float]:
    """Seconds of a step of every kind on this processor, taken in turn; the case stays as it is."""
    plan = plan_of(1, 0)
    taught, untaught = AloneBatches(plan, case.teaching), AloneBatches(plan)
    networks = {kind: make(copy.deepcopy(case.network)) for kind, make in kinds.items()}
    states = {}
    for kind, network in networks.items():
        lay_out(network, plan)
        states[kind] = fresh_state(network, plan)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(rounds + 1):
        for kind, network in networks.items():
            began = time.process_time()
            network.zero_grad()
            batches = untaught if kind == UNTAUGHT else taught
            batches(network, case.images, turn, {})
            states[kind].advance(0.0)
            seconds[kind].append(time.process_time() - began)
    return {kind: median(found[1:]) for kind, found in seconds.items()}


def teach(case: Case, make: Making, plan: TrainPlan) -> nn.Module:
    """What is made of the case's network, whose weights are trained."""
    network = make(case.network)
    with tempfile.TemporaryDirectory() as folder:
        train(network, case.images, plan, AloneBatches(plan, case.teaching), directory=Path(folder))
    return network


def teach_for(case: Case, seconds: float, seed: int) -> None:
    """With batch norm as in training."""
    cost_s = step_costs(case, {BATCH_NORM: as_it_is}, SPEED_STEPS)[BATCH_NORM]
    teach(case, as_it_is, plan_of(max(1, int(seconds / cost_s)), seed))


def recovered(
    case: Case, way: Way, seconds: float, costs_s: Mapping[str, float], seed: int, num_images: int
) -> list[float]:
    """Accuracy and log-loss in fp32 and in int8, and the steps of both phases."""
    teaching = case.teaching if way.is_taught else LABELS_ONLY
    case = replace(case, network=copy.deepcopy(case.network), teaching=teaching)
    learnt = Learnt() if way.is_tuned or way.aware_share else None
    first_s, last_s = (1 - way.aware_share) * seconds, way.aware_share * seconds
    steps = [
        int(first_s / costs_s[way.kind]),
        int(last_s / costs_s[AWARE]),
    ]
    if way.is_tuned:
        recalibrated(case.network, case.calibration)
    if steps[0]:
        teach(case, tuned if way.is_tuned else as_it_is, plan_of(steps[0], seed, way.rate))
    if steps[1]:
        if not way.is_tuned:
            recalibrated(case.network, case.calibration)
        found = teach(case, case.aware, plan_of(steps[1], seed + 1, way.aware_rate))
        learnt = Learnt(grids_of(found))
    done = compress(
        case.network,
        case.arch,
        case.calibration,
        needs_reduced_range=int8_products_saturate(),
        learnt=learnt,
    )
    return [*judged(case, done.fp32, num_images), *judged(case, done.network, num_images), *steps]


@torch.no_grad()
def judged(case: Case, network: nn.Module, num_images: int) -> tuple[float, float]:
    """Accuracy and log-loss on first images of the search split."""
    subset = case.data.search.take(num_images)
    batches = torch.from_numpy(case.data.normalised(subset.images_NCHW)).split(256)
    outputs_NK = torch.cat([network(batch) for batch in batches]).numpy()
    found = task_of(case.data.task).metrics(outputs_NK, subset.labels_N)
    return found["accuracy"], found["log_loss"]


def brought_case(name: str, data: DataSet, seed: int, seconds: float, kept: Path, s: float) -> Case:
    """A network of the tests, trained, brought, pruned, and taught as a member of a supernet is."""
    torch.manual_seed(seed)
    images = training_images(data)
    plain = made(name, data.channels, data.resolution)
    path = kept / f"{name}-{seed}.safetensors"
    if not path.exists():
        start = Case((), plain, data, images, LABELS_ONLY)
        teach_for(start, seconds, seed)
        write_tensors(path, plain.state_dict(), {})
    plain.load_state_dict(read_tensors(path)[0])
    brought = bring(name, plain.eval(), channels=data.channels, resolution=data.resolution)
    space = space_of(brought).with_policy(("fp32", "int8"), (0.0, s))
    supernet = Supernet(space).eval()
    give_weights(supernet, brought)
    supernet.rank()
    unpruned = [0] * len(space.choices)
    pruned = [(len(c.options) - 1) * is_policy(c.name) for c in space.choices]  # no block goes
    arch, whole = (space.slots(space.canonical(encoding)) for encoding in (pruned, unpruned))
    teacher = folded(supernet.extract(whole)).to(memory_format=torch.channels_last)
    teaching = Teaching(LiveTeacher(teacher))
    case = Case(arch, supernet.extract(arch), data, images, teaching)
    shared = kept / f"{name}-{seed}-shared-{s:g}.safetensors"
    if not shared.exists():
        teach_for(case, SHARED * seconds, seed + 7)
        write_tensors(shared, case.network.state_dict(), {})
    case.network.load_state_dict(read_tensors(shared)[0])
    return replace(case, network=case.network.eval())


def made(name: str, channels: int, side: int) -> nn.Module:
    """A network of the tests; of residual ones the shallowest."""
    has_side = {"side": side} if name in ("ViT", "Mixer", "Inception") else {}
    depth = {"depth": 1} if name == "ResNet" else {}
    return getattr(models, name)(channels=channels, **has_side, **depth)


def member_case(operator: str, data: DataSet, seed: int, seconds: float, kept: Path) -> Case:
    """A member of `hybrid`, trained alone."""
    config = make_config({"data": data.name, "space": "hybrid", "precision": ("fp32", "int8")})
    _, space, _ = prepare(config)
    taken = {choice.name: choice.options[0] for choice in space.choices}
    for number, column in enumerate(space.columns("width")):
        taken[space.choices[column].name] = WIDTH * 2**number
    taken |= {space.choices[column].name: operator for column in space.columns("operator")}
    taken |= {space.choices[column].name: "int8" for column in space.columns("precision")}
    candidate = space.candidate(space.encode(taken))
    network = fresh_network(space, candidate, seed)
    case = Case(space.slots(candidate.encoding), network, data, training_images(data), LABELS_ONLY)
    path = kept / f"{operator}-{seed}.safetensors"
    if not path.exists():
        teach_for(case, seconds, seed)
        write_tensors(path, network.state_dict(), {})
    network.load_state_dict(read_tensors(path)[0])
    return replace(case, network=network.eval())


def case_of(name: str, seed: int, asked: argparse.Namespace, kept: Path) -> Case:
    """A network by its name."""
    seconds = 60 * (asked.trained or asked.minutes)
    if hasattr(models, name):
        data = load_data("fashion-mnist", seed=seed)
        return brought_case(name, data, seed, seconds, kept, asked.sparsity)
    return member_case(name, load_data("digit-pairs", seed=seed), seed, seconds, kept)


def costs(names: Sequence[str], rounds: int) -> list[list[str]]:
    """Of one step of each network in three modes, interleaved: milliseconds, kept megabytes."""
    rows = []
    for name in names:
        torch.manual_seed(0)
        brought = bring(name, made(name, 1, 28).eval(), channels=1, resolution=28)
        supernet = Supernet(space_of(brought)).eval()
        give_weights(supernet, brought)
        space = supernet.space
        whole = space.slots(space.canonical([0] * len(space.choices)))
        ways = {
            "training": supernet.extract(whole).train(),
            "evaluation": supernet.extract(whole).eval(),
            "tuned": tuned(supernet.extract(whole)),
        }
        images = torch.rand(BATCH, 1, 28, 28).contiguous(memory_format=torch.channels_last)
        for way in ways.values():
            way.to(memory_format=torch.channels_last)
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds + 1):
            for way, network in ways.items():
                began = time.process_time()
                network(images).square().mean().backward()
                seconds[way].append(time.process_time() - began)
        for way, network in ways.items():
            ratios = [
                a / b for a, b in zip(seconds[way][1:], seconds["evaluation"][1:], strict=True)
            ]
            shown = [f"{1e3 * median(seconds[way][1:]):.1f}", f"{median(ratios):.2f}"]
            rows.append([name, way, *shown, f"{kept_bytes(network, images) / 1e6:.1f}"])
    return rows


def kept_bytes(network: nn.Module, images: Tensor) -> int:
    """What the forward pass keeps for the backward pass, besides parameters and the images."""
    known = {t.untyped_storage().data_ptr() for t in [images, *network.parameters()]}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(images)
    del output
    return sum(found.values())


def main() -> None:
    """Prints a row per network and way, means over seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=words, default=("ResNet", "MobileNet", "basic"))
    parser.add_argument("--ways", type=words, default=("batch", "tuned", "batch:0.3"))
    parser.add_argument("--minutes", type=float, default=0.5, help="of every way")
    parser.add_argument("--trained", type=float, default=0.0, help="minutes before; as many if 0")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--sparsity", type=float, default=0.25)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--keep", type=Path, help="folder of networks that are trained already")
    parser.add_argument("--costs", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.costs:
        print_table(
            ["network", "mode", "ms", "in evaluation's", "kept MB"], costs(asked.models, 15)
        )
        return
    kept = asked.keep or Path(tempfile.mkdtemp())
    kept.mkdir(parents=True, exist_ok=True)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    rows = []
    for name in asked.models:
        cases = {seed: case_of(name, seed, asked, kept) for seed in seeds}
        costs_s = step_costs(cases[seeds[0]], cases[seeds[0]].kinds, ROUNDS)
        print({kind: f"{1e3 * cost_s:.1f} ms" for kind, cost_s in costs_s.items()}, flush=True)
        for way in asked.ways:
            found = [
                recovered(cases[seed], Way.of(way), 60 * asked.minutes, costs_s, seed, asked.images)
                for seed in seeds
            ]
            fp32, loss, int8, int8_loss, *steps = (
                list(column) for column in zip(*found, strict=True)
            )
            shown = [" ".join(f"{100 * a:.1f}" for a in values) for values in (fp32, int8)]
            losses = [f"{mean(values):.3f}" for values in (loss, int8_loss)]
            phases = [" ".join(f"{number:.0f}" for number in numbers) for numbers in steps]
            rows.append([name, way, shown[0], losses[0], shown[1], losses[1], *phases])
            print(rows[-1], flush=True)
    names = ["fp32 %", "log-loss", "int8 %", "log-loss", "steps", "aware steps"]
    print_table(["network", "way", *names], rows)


if __name__ == "__main__":
    main()
