"""What is a teacher worth to a pruned network, asked in every step or once, and without labels?

    python benchmarks/teachers.py --model ResNet --steps 300 --seeds 3 --keep FOLDER
    python benchmarks/teachers.py --few 300 --data digits --steps 600 --seeds 3

A network in plain PyTorch (`tests/compress/bring/models.py`) is trained and brought, loses
`--sparsity` of all groups, learns a little as members of a supernet do (`recovery.py`), and then
learns in each way for the same number of steps from the same weights:

- hard, both, soft: labels, half of the loss each, the teacher alone, which is what was brought
- soft-0: soft, without weight decay
- ensemble: soft-0 by the mean of what was brought with two seeds (MEAL V2, without discriminator)
- stored, top-3: as soft, by stored answers to `--variants` of each image; of many images asking
  takes long
- low-rank, affinity: updates of rank `--rank` with frozen statistics, by soft; and by maps, too

A row is accuracy on the search split for each seed, log-loss, milliseconds of a step with its
teacher on one thread, and of stored answers the seconds and bytes that asking once took.

`--few N` compares networks of `hybrid` that know N labels: a small one on the labels, and the same
one taught by a wider one, which was trained on these labels, on all other images without theirs
(SimCLRv2, its third step); and by regions of score maps of that one (ReLabel).
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import torch
from recovery import BATCH, Case, brought_case, judged
from torch import Tensor, nn

from compress.sparse import Making
from nas.cli.console import print_table
from nas.data import load_data
from nas.prepare.inputs import prepare
from nas.prepare.plan import training_images
from nas.run.config import make_config
from nas.standalone.train import as_it_is, fresh_network
from nas.system.text import words
from supernets.calibrate import recalibrated
from supernets.images import Images
from supernets.likenesses import Affinity
from supernets.low_rank import LowRank, LowRankUpdates
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.steps import AloneBatches, drawing_of
from supernets.teachers import (
    LABELS_ONLY,
    AbstractTeacher,
    EnsembleTeacher,
    LiveTeacher,
    Teaching,
)
from supernets.teachers.regions import RegionTeacher, maps_of
from supernets.teachers.stored import StoredTeacher, answers_to, group_of
from supernets.train import train

TUNING_RATE = 0.2
"""Of the optimizer's own, as finalists of a network that was brought have it."""

SMALL, WIDE = 8, 24
WAYS = ("hard", "both", "soft", "soft-0", "ensemble", "stored", "top-3", "low-rank", "affinity")


@dataclass(frozen=True)
class Way:
    """How a network learns.

    Attributes:
        teaching: By what.
        plan: For how long.
        make: What of it is trained.
        note: What preparing it took.
    """

    teaching: Teaching
    plan: TrainPlan
    make: Making = as_it_is
    note: str = ""


def stored(
    teacher: AbstractTeacher, images: Images, plan: TrainPlan, variants: int, top: int
) -> tuple[StoredTeacher, str]:
    """The teacher's answers, and what they took."""
    began = time.process_time()
    drawing = replace(drawing_of(images, plan), batch_size=group_of(plan.batch_size))
    answers = [
        answers_to(teacher, images, plan, drawing, variant=variant, top=top)
        for variant in range(variants)
    ]
    size = sum(tensor.nbytes for variant in answers for tensor in variant.values())
    note = f"{time.process_time() - began:.1f} s, {size:,} bytes"
    return StoredTeacher.of(drawing, _outputs(answers[0], images), answers), note


def _outputs(answers: Mapping[str, Tensor], images: Images) -> int:
    return max(int(images.labels_N.max()) + 1, answers["values"].shape[2])


def ways_of(case: Case, other: Case, asked: argparse.Namespace, seed: int) -> dict[str, Way]:
    """By their names.

    Args:
        case: The network, taught by what was brought.
        other: That of another seed.
        asked: The command line.
        seed: Of the trainings.
    """
    plan = TrainPlan(steps=asked.steps, batch_size=BATCH, shards=1, channels_last=True, seed=seed)
    plan = replace(plan, learning_rate=TUNING_RATE * plan.peak_rate)
    teacher, second = case.teaching.teacher, other.teaching.teacher
    assert isinstance(teacher, LiveTeacher)
    assert second is not None
    free = replace(plan, weight_decay=0.0)
    found = {
        "hard": Way(LABELS_ONLY, plan),
        "both": Way(Teaching(teacher), plan),
        "soft": Way(Teaching(teacher, 1.0), plan),
        "soft-0": Way(Teaching(teacher, 1.0), free),
        "ensemble": Way(Teaching(EnsembleTeacher((teacher, second)), 1.0), free),
    }
    for name, top in (("stored", 0), ("top-3", 3)):
        if name not in asked.ways:
            continue
        known, note = stored(teacher, case.images, plan, asked.variants, top)
        found[name] = Way(Teaching(known, 1.0), plan, note=note)
    make = LowRankUpdates(asked.rank, seed)
    found["low-rank"] = Way(Teaching(teacher, 1.0), plan, make)
    alike = Affinity(teacher.networks[0])
    found["affinity"] = Way(Teaching(teacher, 1.0, (alike,)), plan, make)
    return {name: way for name, way in found.items() if name in asked.ways}


def taught(case: Case, way: Way) -> tuple[float, float, float]:
    """Accuracy, log-loss and seconds of a step of a copy of the network that learnt so."""
    network = copy.deepcopy(case.network)
    if way.make is not as_it_is:
        recalibrated(network, case.calibration)
    seconds = trained(network, case.images, way)
    if way.make is as_it_is:
        recalibrated(network, case.calibration)
    return (*judged(case, network.eval(), asked_images(case)), seconds)


def asked_images(case: Case) -> int:
    """All of the search split, up to 3,000."""
    return min(3000, len(case.data.search))


def trained(network: nn.Module, images: Images, way: Way) -> float:
    """Trains a network in place; seconds per step."""
    module, began = way.make(network), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        batches = AloneBatches(way.plan, way.teaching)
        train(module, images, way.plan, batches, directory=Path(folder))
    seconds = time.process_time() - began
    if isinstance(module, LowRank):
        module.merge_()
    return seconds / way.plan.steps


def pruned_rows(asked: argparse.Namespace) -> list[list[str]]:
    """A row per way of teaching a pruned network."""
    data = load_data(asked.data, seed=0)
    kept = asked.keep or Path(tempfile.mkdtemp())
    kept.mkdir(parents=True, exist_ok=True)

    def case_of(seed: int) -> Case:
        return brought_case(asked.model, data, seed, 60 * asked.minutes, kept, asked.sparsity)

    found: dict[str, list[tuple[float, float, float]]] = {}
    notes: dict[str, str] = {}
    for seed in range(asked.seeds):
        case = case_of(seed)
        before = judged(case, case.network.eval(), asked_images(case))
        print(f"seed {seed}: {100 * before[0]:.1f} % before", flush=True)
        for name, way in ways_of(case, case_of(seed + 1), asked, seed).items():
            found.setdefault(name, []).append(taught(case, way))
            notes[name] = way.note
            print(name, found[name][-1], flush=True)
    return [_row(name, rows, notes[name]) for name, rows in found.items()]


def few_rows(asked: argparse.Namespace) -> list[list[str]]:
    """A row per way of teaching a small network that knows few labels."""
    data = load_data(asked.data, seed=0)
    images = training_images(data)
    assert isinstance(images.images_NCHW, Tensor)
    few = replace(
        images, images_NCHW=images.images_NCHW[: asked.few], labels_N=images.labels_N[: asked.few]
    )
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(asked.seeds):
        plan = TrainPlan(steps=asked.steps, batch_size=BATCH, shards=1, seed=seed)
        wide = member(data.name, WIDE, seed)
        case = Case((), wide, data, images, LABELS_ONLY)
        seconds = trained(wide, few, Way(LABELS_ONLY, plan))
        recalibrated(wide, case.calibration)
        found.setdefault("the wider one", []).append(
            (*judged(case, wide.eval(), asked_images(case)), seconds)
        )
        teacher = LiveTeacher(wide)
        regions = RegionTeacher(maps_of(wide, images, plan))
        ways: dict[str, tuple[Images, Teaching]] = {
            "few labels": (few, LABELS_ONLY),
            "few, taught": (few, Teaching(teacher, 1.0)),
            "without labels": (images, Teaching(teacher, 1.0)),
            "by regions": (images, Teaching(regions, 1.0)),
        }
        for name, (shown, teaching) in ways.items():
            small = member(data.name, SMALL, seed + 100)
            seconds = trained(small, shown, Way(teaching, plan))
            recalibrated(small, case.calibration)
            result = (*judged(case, small.eval(), asked_images(case)), seconds)
            found.setdefault(name, []).append(result)
            print(name, result, flush=True)
    return [_row(name, rows, "") for name, rows in found.items()]


def member(data: str, width: int, seed: int) -> PlainNetwork:
    """A fresh network of residual blocks, `width` channels in its first stage."""
    config = make_config({"data": data, "space": "hybrid"})
    _, space, _ = prepare(config)
    taken = {choice.name: choice.options[0] for choice in space.choices}
    for number, column in enumerate(space.columns("width")):
        wanted = width * 2**number
        options = [int(option) for option in space.choices[column].options]
        taken[space.choices[column].name] = min(options, key=lambda w: abs(w - wanted))
    taken |= {space.choices[column].name: "basic" for column in space.columns("operator")}
    return fresh_network(space, space.candidate(space.encode(taken)), seed)


def _row(name: str, rows: list[tuple[float, float, float]], note: str) -> list[str]:
    accuracies, losses, seconds = zip(*rows, strict=True)
    shown = " ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies)
    numbers = [f"{100 * mean(accuracies):.2f}", f"{mean(losses):.3f}", f"{1e3 * mean(seconds):.1f}"]
    return [name, shown, *numbers, note]


def main() -> None:
    """Prints a row per way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="ResNet")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--minutes", type=float, default=0.5, help="of training before pruning")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--ways", type=words, default=WAYS)
    parser.add_argument("--variants", type=int, default=4)
    parser.add_argument("--rank", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--few", type=int, default=0, help="labels; 0 for the pruned network")
    parser.add_argument("--keep", type=Path, help="folder of networks that are trained already")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows_of: Callable[[argparse.Namespace], list[list[str]]]
    rows_of = few_rows if asked.few else pruned_rows
    names = ["way", "accuracy %", "mean", "log-loss", "ms a step", "asked once"]
    print_table(names, rows_of(asked))


if __name__ == "__main__":
    main()
