"""What are early exits worth? Accuracy, mean multiply-adds and mean latency, by threshold.

    python benchmarks/exits.py --data fashion-mnist --steps 400 --seed 0

A network of a space, of middle sizes and one operator, is trained alone in two ways, in the same
steps and from the same weights: without exits, and together with them. Accuracy of the last exit is
what the exits cost there. The first network is then compressed, exits are trained beside it
in `--exit-steps` steps, and of both networks files are written that leave at thresholds, which are
those of shares of the multiply-adds without exits on the search split. Their mean latency is
measured on images of the search split, one at a time, beside the file without exits.

Trained on one thread, in fp32. Accuracy is that of the files on the test split.
"""

import argparse
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from compress import compress
from compress.artefact import write_artefact
from compress.exits import with_exits, write_all_exits, write_first_exit
from nas.cli.console import print_table
from nas.data import DataSet
from nas.front.exit_files import leaving_of
from nas.front.exits import answers_of, mean_times
from nas.front.facts import input_rule
from nas.prepare.inputs import prepare
from nas.prepare.plan import training_images
from nas.problem.leaving import NEVER
from nas.run.config import make_config
from nas.standalone.train import alone_plan, fresh_network, trained_alone
from nas.targets import ONNX
from search_spaces import Candidate, Option, SearchSpace, Slot, input_shape, task_of
from search_spaces.networks.staged import STEM_STRIDE
from supernets.exit_batches import ExitBatches
from supernets.exits import (
    Exiting,
    Exits,
    Latents,
    Map,
    Tapped,
    macs_of_exits,
    macs_of_slot,
    maps_between_stages,
)
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.train import train

NUM_EXITS = 2
CALIBRATION_IMAGES, BATCH = 256, 128
TIMED_IMAGES = 200
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Of the multiply-adds without exits."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all trainings have in common.

    Attributes:
        data: All splits.
        images: To train on.
        space: Of the network.
        candidate: The network.
        latents: Sizes of the exits.
        seed: Of weights and batches.
    """

    data: DataSet
    images: Images
    space: SearchSpace
    candidate: Candidate
    latents: Latents
    seed: int

    def plan(self, steps: int) -> TrainPlan:
        """A search's, for one network."""
        return alone_plan(TrainPlan(steps=steps, seed=self.seed, channels_last=True), steps=steps)

    def fresh(self) -> PlainNetwork:
        """The network before training."""
        return fresh_network(self.space, self.candidate, self.seed).eval()

    def exits(self, network: PlainNetwork) -> tuple[tuple[Map, ...], Exits]:
        """Maps of the network, and exits with fresh weights."""
        shape = input_shape(network.arch[0].signature)
        maps = maps_between_stages(network, shape)[-NUM_EXITS:]
        return maps, Exits(maps, self.data.num_outputs, self.latents, seed=self.seed)

    def trained(self, steps: int) -> PlainNetwork:
        """The network, trained without exits."""
        network = self.fresh()
        with tempfile.TemporaryDirectory() as folder:
            trained_alone(network, self.images, Path(folder), partial(self.plan, steps))
        return network

    def exiting(
        self, network: PlainNetwork, steps: int, *, is_together: bool
    ) -> tuple[PlainNetwork, Exiting]:
        """The network, compressed, and that with trained exits."""
        slots, plan = network.arch, self.plan(steps)
        calibration = torch.from_numpy(
            self.data.normalised(self.data.calibration.take(CALIBRATION_IMAGES).images_NCHW)
        ).split(BATCH)
        maps, exits = self.exits(network)
        if is_together:
            self._train(Exiting(Tapped(network, maps), exits), ExitBatches(plan, None))
        folded = compress(network, slots, calibration).network
        assert isinstance(folded, PlainNetwork)
        if not is_together:
            self._train(exits, ExitBatches(plan, Tapped(folded, maps)))
        return folded, with_exits(folded, maps, exits)

    def _train(self, module: torch.nn.Module, batches: ExitBatches) -> None:
        with tempfile.TemporaryDirectory() as folder:
            train(module, self.images, batches.plan, batches, directory=Path(folder))

    def rows(self, name: str, plain: PlainNetwork, exiting: Exiting) -> list[list[str]]:
        """A row per share of the multiply-adds, and one without exits."""
        rule, task, slots = input_rule(self.data), task_of(self.data.task), self._slots
        search, test = self.data.search, self.data.test
        maps, _ = self.exits(self.fresh())
        macs = macs_of_exits(slots, maps, self.latents, self.data.num_outputs)
        whole, rows = macs_of_slot(slots, slots[-1].name), []
        with tempfile.TemporaryDirectory() as folder:
            network, flat = Path(folder, "network.onnx"), Path(folder, "all.onnx")
            write_artefact(ONNX, plain, slots, network)
            write_all_exits(exiting, flat, shape=input_shape(slots[0].signature))
            said = {
                split: leaving_of(answers_of(flat, rule, s.images_NCHW), s.labels_N, task)
                for split, s in (("search", search), ("test", test))
            }
            thresholds = [said["search"].within(macs, share * whole) for share in SHARES]
            known = [NEVER, *(t for t in thresholds if t is not None)]
            files = [Path(folder, f"{number}.onnx") for number in range(len(known))]
            for file, threshold in zip(files, known, strict=True):
                write_first_exit(flat, file, [threshold] * len(maps))
            times = mean_times([*files, network], rule, search.take(TIMED_IMAGES).images_NCHW)
            for threshold, time in zip(known, times, strict=False):
                shares = said["search"].shares(threshold)
                rows.append([
                    *(str(self.seed), name, f"{threshold:.3f}"),
                    " ".join(f"{100 * share:.0f}" for share in shares),
                    f"{said['search'].mean_cost(threshold, macs) / whole:.2f}",
                    f"{100 * said['search'].accuracy(threshold):.2f}",
                    f"{100 * said['test'].accuracy(threshold):.2f}",
                    f"{time.median_ms:.3f}",
                ])  # fmt: skip
            right = [f"{100 * said[split].accuracy(NEVER):.2f}" for split in said]
            rows.append(
                [str(self.seed), name, "no exits", "", "1.00", *right, f"{times[-1].median_ms:.3f}"]
            )
        return rows

    @property
    def _slots(self) -> tuple[Slot, ...]:
        return tuple(self.space.slots(self.candidate.encoding))


def candidate_of(space: SearchSpace, operator: str, share: float) -> Candidate:
    """Sizes so far along what is offered, one operator in every block, the largest stride."""
    taken: dict[str, Option] = {}
    for choice in space.choices:
        options = list(choice.options)
        if choice.name.endswith("operator"):
            taken[choice.name] = operator
        elif choice.name == STEM_STRIDE:
            taken[choice.name] = options[-1]
        else:
            taken[choice.name] = options[round(share * (len(options) - 1))]
    return space.candidate(space.encode(taken))


def main() -> None:
    """Prints a table of each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--space", default="hybrid")
    parser.add_argument("--operator", default="basic")
    parser.add_argument("--share", type=float, default=0.5, help="How large its sizes are.")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--exit-steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = make_config(
        {
            "data": asked.data,
            "data_dir": asked.data_dir,
            "space": asked.space,
            "precision": ("fp32",),
            "sparsity": (0.0,),
        }
    )
    data, space, _ = prepare(config)
    header = ["seed", "network", "threshold", "leave, %", "mean MACs", "search %", "test %", "ms"]
    bench = Bench(
        data=data,
        images=training_images(data),
        space=space,
        candidate=candidate_of(space, asked.operator, asked.share),
        latents=Latents(),
        seed=asked.seed,
    )
    kept = bench.exiting(bench.trained(asked.steps), asked.exit_steps, is_together=False)
    print_table(header, bench.rows("kept", *kept))
    together = bench.exiting(bench.fresh(), asked.steps, is_together=True)
    print_table(header, bench.rows("together", *together))


if __name__ == "__main__":
    main()
