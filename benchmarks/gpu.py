"""Training and scoring on an accelerator against the CPU beside it.

    python benchmarks/gpu.py --out gpu.md

Writes a table of its own; takes at most `--seconds` (8 minutes). Steps of the hybrid supernet in
every precision that the device has, by batch; reproducible operations against the fastest ones;
scores; whether a training that continues ends with the same bits; how near the device's losses are
to the CPU's. `--smallest` shows on any machine, without an accelerator too, that it works: its
numbers mean nothing.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from nas.data import DataSet, load_data
from nas.prepare.placed import precisions_here
from nas.prepare.plan import training_images
from nas.scoring.scorer import Scorer
from nas.system.environment import environment
from search_spaces import SearchSpace, load_space
from supernets.device import CPU, about, chosen_device, devices, is_cpu, is_out_of_memory
from supernets.images import Images
from supernets.methods.sortednet import SortedNet
from supernets.pace import seconds_per_step
from supernets.plan import TrainPlan
from supernets.steps import SupernetBatches
from supernets.supernet import Supernet
from supernets.train import train

SCORES = 6
CONTINUED_STEPS = 6


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    space: str
    resolution: int
    batches: tuple[int, ...]
    steps: int


FULL = Size("hybrid", 32, (32, 128, 512, 1024), 10)
SMALLEST = Size("toy", 16, (8,), 1)


class StoppedError(Exception):
    """Stands for kill -9."""


@dataclass
class Bench:
    """The device, what is trained on it, and rows as they are measured."""

    device: str
    size: Size
    data: DataSet
    space: SearchSpace
    images: Images
    ends_at: float

    def run(self) -> Iterator[str]:
        """Lines of the table, while there is time."""
        yield "| what | measured |\n|---|---|"
        parts: tuple[Callable[[], Iterator[str]], ...] = (
            *(self.agreement, self.continued, self.steps_there, self.reproducible),
            *(self.scores, self.steps_here),
        )
        for part in parts:
            if time.monotonic() > self.ends_at:
                yield f"| {part.__name__} | no time left |"
                continue
            yield from part()

    def plan(self, device: str, precision: str = "fp32", batch_size: int = 0) -> TrainPlan:
        return TrainPlan(
            steps=CONTINUED_STEPS,
            device=device,
            precision=precision,
            batch_size=batch_size or self.size.batches[0],
            channels_last=True,
            checkpoint_s=0.0,
        )

    def seconds(self, plan: TrainPlan) -> float | None:
        """Of a step; None if it does not fit into memory."""
        batches = SupernetBatches(plan, SortedNet(space=self.space))
        supernet = Supernet(self.space)
        try:
            return seconds_per_step(
                supernet, self.images, plan, batches, steps=self.size.steps, threads=0
            )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None

    def steps_there(self) -> Iterator[str]:
        for precision in precisions_here(self.device):
            for batch_size in self.size.batches:
                plan = self.plan(self.device, precision, batch_size)
                yield self.rate(plan, f"supernet's step on {self.device}")

    def steps_here(self) -> Iterator[str]:
        for precision in precisions_here(CPU):
            plan = self.plan(CPU, precision, self.size.batches[0])
            yield self.rate(plan, f"supernet's step on the CPU, {torch.get_num_threads()} threads")

    def rate(self, plan: TrainPlan, what: str) -> str:
        seconds = self.seconds(plan)
        said = "does not fit into memory"
        if seconds is not None:
            said = f"{1e3 * seconds:.1f} ms, {plan.images_per_step / seconds:.0f} images/s"
        return f"| {what}, {plan.precision}, {plan.images_per_step} images | {said} |"

    def reproducible(self) -> Iterator[str]:
        plan = self.plan(self.device, precisions_here(self.device)[0], self.size.batches[-1])
        seconds = [self.seconds(plan), None]
        with fastest_operations():
            seconds[1] = self.seconds(plan)
        if None not in seconds:
            ratio = (seconds[0] or 0.0) / (seconds[1] or 1.0)
            yield f"| time of reproducible operations, in that of the fastest | {ratio:.2f} |"

    def scores(self) -> Iterator[str]:
        supernet = Supernet(self.space).eval()
        rows = self.space.sample(np.random.default_rng(0), SCORES).tolist()
        for device in dict.fromkeys((self.device, CPU)):
            scorer, took = Scorer(supernet, self.data, 256, device=device), []
            for row in rows:
                began = time.perf_counter()
                score = scorer(self.space.candidate(row))
                took.append(time.perf_counter() - began)
                assert not score.failure, score.failure
            yield f"| a score of 256 images on {device}, median | {statistics.median(took):.3f} s |"

    def continued(self) -> Iterator[str]:
        """Whether a training that was stopped ends with the same bits."""
        plan = self.plan(self.device)
        with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as parts:
            expected, _ = self.trained(plan, Path(whole))
            try:
                self.trained(plan, Path(parts), stop_after=CONTINUED_STEPS // 2)
            except StoppedError:
                found, _ = self.trained(plan, Path(parts))
        same = all(torch.equal(t, found.state_dict()[n]) for n, t in expected.state_dict().items())
        yield f"| a training that continues ends with the same bits | {'yes' if same else 'no'} |"

    def agreement(self) -> Iterator[str]:
        """How far losses are from the CPU's, which differ by rounding alone in the first step."""
        losses = []
        for device in (self.device, CPU):
            with tempfile.TemporaryDirectory() as folder:
                losses.append(self.trained(self.plan(device), Path(folder))[1])
        apart = [abs(a - b) / b for a, b in zip(*losses, strict=True)]
        text = f"{apart[0]:.1e}, {max(apart):.1e}"
        yield f"| losses' difference from the CPU's, first step, largest of {len(apart)} | {text} |"

    def trained(
        self, plan: TrainPlan, folder: Path, *, stop_after: int = 0
    ) -> tuple[Supernet, list[float]]:
        supernet, losses = Supernet(self.space), []

        def on_step(numbers: dict[str, float]) -> None:
            losses.append(numbers["loss"])
            if numbers["step"] == stop_after:
                raise StoppedError

        batches = SupernetBatches(plan, SortedNet(space=self.space))
        with patch("supernets.train.CHECKPOINT_SHARE", 1e12):
            train(supernet, self.images, plan, batches, directory=folder, on_step=on_step)
        return supernet, losses


@contextmanager
def fastest_operations() -> Iterator[None]:
    """In this context nothing asks for reproducible ones."""
    with patch("supernets.pace.computing", lambda *_: nullcontext()):
        yield


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--smallest", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device, size = chosen_device(given.device), SMALLEST if given.smallest else FULL
    if is_cpu(device) and not given.smallest:
        parser.error(f"torch finds {', '.join(devices())}. --smallest shows that this works.")
    data = load_data("digits" if given.smallest else "digit-pairs", resolution=size.resolution)
    network = {"resolution": size.resolution, "channels": 1, "num_classes": data.num_classes}
    space = load_space(size.space, **network).with_policy(("fp32", "int8"), (0.0, 0.5))
    ends_at = time.monotonic() + given.seconds
    bench = Bench(device, size, data, space, training_images(data), ends_at)
    facts = environment()
    what = facts["cpu"] if is_cpu(device) else f"{about(device)}, beside {facts['cpu']}"
    lines = [f"{what}; torch {torch.__version__}; {size.space} at {size.resolution} px\n"]
    print(lines[0])
    for line in bench.run():
        print(line, flush=True)
        lines.append(line)
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
