"""What would an engineer make by hand in the same time? The opponent of `nas search`.

    python benchmarks/handmade.py --data digit-pairs --time 5m --out DIR
    python benchmarks/handmade.py --data digit-pairs --time 5m --out DIR --against RUN RUN

Ten published networks (`_handmade_networks.py`; on CIFAR-10 five plain ones more), all trained,
exported, quantized and measured within the time; no network is known to be the right one
beforehand, so all get the same.

- **Time.** From reading the data to the last latency. A rehearsal takes the smallest and the
  largest network of each family, with fresh weights, through all that follows training (exporting,
  quantizing, timing, answering all images). What that will cost for all networks and the spare
  share that a search has are put aside; the rest is training, for all networks equally long. One
  process per core (or per `--threads` of them) trains one network at a time; where their number
  does not divide that of the networks, cores are idle in the end. A network's time begins with
  speed tests, which decide its batch and steps as those of a search's finalists.
- **Recipe.** That of a network alone in a search (`nas.standalone.train`): `TrainPlan` with its
  defaults and `--set`, labels only; batch norm is recalibrated for the averaged weights. The
  memory format (and bf16, where the processor multiplies it) is the fastest for the family's middle
  network.
- **Data.** The splits of a search with the same seed: weights from train, int8 ranges from
  calibration, nothing from search or test.
- **Files.** ONNX in fp32 with batch norm folded, and in int8 by onnxruntime's own
  `quantize_static`: QDQ, per channel, uint8 activations (with int8 ones a MobileNetV2 took 1.7
  to 1.9 times as long), 7-bit weights where products saturate. All are timed in one call by the
  protocol of a search, and answer all of search and test in onnxruntime.

`DIR/handmade.json` has every number. With the same arguments it is read, not made again; delete it
to train again, such as after a change of `TrainPlan`. `--against` compares with finished runs:
see `_handmade_against.py`.

Departures from what a person would do: nobody looks at a learning curve, stops a bad network early
or gives its time to a better one; tensors in int8 files have the long names onnxruntime gives them.
"""

import argparse
import heapq
import multiprocessing
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from _handmade_against import compare
from _handmade_networks import Design, designs, usual_families
from _handmade_worker import FILES, Job, begin, in_fastest_format, macs_of, make, rehearse

from nas.cli.console import print_table
from nas.data import identity
from nas.executors import make_timer
from nas.front.timing import SPARE_PROCESSES, TIMING_PROCESSES
from nas.prepare.inputs import describe_data, read_data
from nas.prepare.plan import SPARE_SHARE
from nas.prepare.settings import check_settings
from nas.run.config import Config, differences, make_config
from nas.system.environment import environment, num_cores
from nas.system.files import make_folder, read_json, write_json
from nas.system.text import setting, words
from search_spaces import CandidateError, UserError, did_you_mean
from supernets.plan import TrainPlan

RESULTS = "handmade.json"
HALVINGS = 40


def main() -> None:
    """Makes the networks, or reads them back; prints tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digit-pairs")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--resolution", type=int, default=0)
    parser.add_argument("--time", default="5m")
    parser.add_argument("--seed", type=int, default=0)
    usual = "instead of mobilenetv2 and resnet, and on CIFAR-10 simplenet"
    parser.add_argument("--families", type=words, default=(), help=usual)
    parser.add_argument("--widths", type=words, default=(), help="instead of each family's own")
    parser.add_argument("--threads", type=int, default=1, help="of each training process")
    parser.add_argument("--cores", type=int, default=0, help="0 for all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path, nargs="+", default=[], metavar="RUN")
    given = parser.parse_args()
    names = ("data", "data_dir", "resolution", "time", "seed")
    config = make_config(
        {name: getattr(given, name) for name in names} | {"set": dict(map(setting, given.set))}
    )
    check_plan_settings(config)
    families = given.families or usual_families(config.data)
    wanted = designs(families, [float(width) for width in given.widths])
    processes = max(1, (given.cores or num_cores()) // given.threads)
    arguments = {name: getattr(config, name) for name in names if name != "data_dir"}
    arguments |= {"set": dict(config.set), "networks": [design.name for design in wanted]}
    arguments |= {"processes": processes, "threads": given.threads}
    results = make_folder(given.out) / RESULTS
    if results.exists():
        changed = differences(read_json(results)["arguments"], arguments)
        if changed:
            raise UserError(f"'{results}' is of other arguments: {changed}. Use another --out.")
    else:
        document = make_networks(config, wanted, processes, given.threads, out=given.out)
        write_json(results, {"arguments": arguments, **document})
    print_rows(read_json(results))
    if given.against:
        compare(read_json(results), given.out, given.against)


def check_plan_settings(config: Config) -> None:
    """Refuse settings that training has not.

    Raises:
        UserError: Naming the setting.
    """
    known = [field.name for field in fields(TrainPlan)]
    for name in config.set:
        if name not in known:
            raise UserError(f"unknown setting '{name}'. {did_you_mean(name, known)}")
    check_settings(config)


def make_networks(
    config: Config, wanted: Sequence[Design], processes: int, threads: int, *, out: Path
) -> dict[str, Any]:
    """Everything that handmade.json says but the arguments."""
    started = time.monotonic()
    data = read_data(config)
    print(describe_data(data), flush=True)
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    with ProcessPoolExecutor(
        min(processes, len(wanted)),
        multiprocessing.get_context("spawn"),
        initializer=begin,
        initargs=(config, threads),
    ) as pool:
        plan = planned(pool, config, wanted, processes, started=started)
        print(plan.text(processes), flush=True)
        for made in [pool.submit(make, job) for job in plan.jobs(out)]:
            try:
                rows += told(made.result())
            except (CandidateError, UserError) as error:
                failures.append(str(error))
                print(f"failed: {error}", flush=True)
    made_s = time.monotonic() - started
    files = [out / row["file"] for row in rows]
    timings = make_timer(config)(files, processes=TIMING_PROCESSES, spares=SPARE_PROCESSES)
    for row, timing in zip(rows, timings, strict=True):
        if isinstance(timing, CandidateError):
            raise timing
        row["latency"] = timing.to_json()
    return {
        "environment": environment(),
        "data": identity(data),
        "planned": plan.to_json(),
        "made_s": round(made_s, 1),
        "seconds": round(time.monotonic() - started, 1),
        "failures": failures,
        "rows": rows,
    }


@dataclass(frozen=True, kw_only=True)
class Planned:
    """How the time is spent.

    Attributes:
        designs: In the order in which they are begun: those with the most work behind training
            first.
        plans: How each is trained, but for the steps.
        finish_s: Of each, for its files and their answers.
        ends_s: When each is finished, from `ready` on.
        ready: When training can begin, as `time.monotonic` has it.
        rehearsal_s: From the start until then.
        train_s: For training one network.
        timing_s: For timing all files.
        spare_s: For what takes longer.
        is_timed: Whether speed tests decide the steps.
        is_batch_fixed: Whether the user set the batch.
    """

    designs: Sequence[Design]
    plans: Sequence[TrainPlan]
    finish_s: Sequence[float]
    ends_s: Sequence[float]
    ready: float
    rehearsal_s: float
    train_s: float
    timing_s: float
    spare_s: float
    is_timed: bool
    is_batch_fixed: bool

    def jobs(self, out: Path) -> list[Job]:
        """What the processes are given."""
        each = zip(self.designs, self.plans, self.finish_s, self.ends_s, strict=True)
        return [
            Job(
                design=design,
                plan=plan,
                folder=make_folder(out / design.name),
                deadline=self.ready + end_s,
                finish_s=finish_s,
                is_timed=self.is_timed,
                is_batch_fixed=self.is_batch_fixed,
            )
            for design, plan, finish_s, end_s in each
        ]

    def text(self, processes: int) -> str:
        """In a sentence."""
        first, last = min(self.finish_s), max(self.finish_s)
        return (
            f"{len(self.designs)} networks, {processes} at a time, {self.train_s:.1f} s to train "
            f"each; {self.rehearsal_s:.0f} s went into data and rehearsal, {first:.1f} to "
            f"{last:.1f} s are for files and answers of each, {self.timing_s:.0f} s for timing, "
            f"{self.spare_s:.0f} s spare"
        )

    def to_json(self) -> dict[str, Any]:
        """Seconds."""
        names = ("rehearsal_s", "train_s", "timing_s", "spare_s")
        finish_s = [round(seconds, 2) for seconds in self.finish_s]
        return {name: round(getattr(self, name), 2) for name in names} | {"finish_s": finish_s}


def planned(
    pool: ProcessPoolExecutor,
    config: Config,
    wanted: Sequence[Design],
    processes: int,
    *,
    started: float,
) -> Planned:
    """The plan, after a rehearsal on all processes.

    Of each family the smallest and the largest network are rehearsed, the others are interpolated
    by multiply-adds, and the format of training is chosen with the middle one.
    """
    plan = TrainPlan(**{"steps": 1, "seed": config.seed, **config.settings_of(TrainPlan)})
    plans: dict[str, Future[TrainPlan]] = {}
    ends: dict[str, list[Future[tuple[int, float]]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for family in dict.fromkeys(design.family for design in wanted):
            members = sorted((d for d in wanted if d.family == family), key=lambda d: d.width)
            middle = members[len(members) // 2]
            plans[family] = pool.submit(in_fastest_format, middle, plan, frozenset(config.set))
            ends[family] = [
                pool.submit(rehearse, design, make_folder(Path(name, design.name)))
                for design in dict.fromkeys([members[0], members[-1]])
            ]
        costs = [pool.submit(macs_of, design).result() for design in wanted]
        known = {family: sorted(f.result() for f in found) for family, found in ends.items()}
        chosen = {family: found.result() for family, found in plans.items()}
        files = [*Path(name).glob("*/*.onnx")]
        timing = time.monotonic()
        make_timer(config)(files, processes=1)
        timing_s = TIMING_PROCESSES * (time.monotonic() - timing) / len(files)
        timing_s *= len(FILES) * len(wanted)
    finish_s = [
        float(np.interp(cost, *zip(*known[design.family], strict=True)))
        for design, cost in zip(wanted, costs, strict=True)
    ]
    order = np.argsort(finish_s)[::-1].tolist()
    finish_s = [finish_s[number] for number in order]
    ready, spare_s = time.monotonic(), SPARE_SHARE * config.seconds
    available_s = started + config.seconds - ready - timing_s - spare_s
    train_s = longest_training(finish_s, processes, available_s)
    return Planned(
        designs=[wanted[number] for number in order],
        plans=[chosen[wanted[number].family] for number in order],
        finish_s=finish_s,
        ends_s=ends_of([train_s + seconds for seconds in finish_s], processes),
        ready=ready,
        rehearsal_s=ready - started,
        train_s=train_s,
        timing_s=timing_s,
        spare_s=spare_s,
        is_timed="steps" not in config.set,
        is_batch_fixed="batch_size" in config.set,
    )


def longest_training(finish_s: Sequence[float], processes: int, available_s: float) -> float:
    """Seconds for which each network can be trained so that all are finished in time."""
    low, high = 0.0, max(0.0, available_s)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = max(ends_of([middle + s for s in finish_s], processes)) <= available_s
        low, high = (middle, high) if fits else (low, middle)
    return low


def ends_of(jobs_s: Sequence[float], processes: int) -> list[float]:
    """When jobs end that are begun in this order, each by the first process that is free."""
    free = [0.0] * processes
    ends = []
    for seconds in jobs_s:
        ends.append(heapq.heappop(free) + seconds)
        heapq.heappush(free, ends[-1])
    return ends


def told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a network, which are printed in short."""
    found = ", ".join(f"{r['precision']} {r['accuracy']['search']['fraction']:.1%}" for r in rows)
    how = (
        f"{rows[0]['steps']} steps of {rows[0]['batch_size']} images in {rows[0]['train_s']:.1f} s"
    )
    print(f"{rows[0]['network']}: {how}, on search {found}", flush=True)
    return rows


def print_rows(document: Mapping[str, Any]) -> None:
    """The table of all files."""
    header = ["network", "precision", "MMACs", "k params", "kB", "ms", "95 % interval", "search %"]
    cells = []
    for row in document["rows"]:
        low, high = row["latency"]["interval_ms"]
        search, test = (row["accuracy"][split]["fraction"] for split in ("search", "test"))
        cells.append(
            [
                row["network"],
                row["precision"],
                f"{row['macs'] / 1e6:.2f}",
                f"{row['params'] / 1e3:.1f}",
                f"{row['bytes'] / 1e3:.1f}",
                f"{row['latency']['median_ms']:.4f}",
                f"{low:.4f}-{high:.4f}",
                f"{100 * search:.1f}",
                f"{100 * test:.1f}",
                str(row["steps"]),
                str(row["batch_size"]),
                f"{row['train_s']:.1f}",
            ]
        )
    print_table([*header, "test %", "steps", "batch", "s of training"], cells)
    machine = document["environment"]
    print(
        f"{document['seconds']:.0f} s in all on {machine['num_cores']} cores of {machine['cpu']} "
        f"({machine['instruction_set']})"
    )


if __name__ == "__main__":
    main()
