"""Is `nas compress` better than what a user would do with the same network, data and time?

    python benchmarks/compressing.py --networks resnet20,vit --minutes 5 --out DIR

Each network is plain PyTorch (`_compressing_networks.py`), trained here on labels for `--train`
seconds of one thread, and then

- **nas compress** is given its function, weights and data, and `--minutes`, as a command;
- **brought** is the network itself, exported, in fp32 and by onnxruntime's `quantize_static` (QDQ,
  per channel, uint8 activations, 7-bit weights where products saturate);
- **torch-pruning** prunes it with one ratio everywhere (group norm of magnitudes, heads as heads)
  to `--levels` of the multiply-adds, each is fine-tuned with the same recipe, teacher and rate as
  the command's finalists, together for as many seconds of all cores as the command had in all,
  and quantized by `quantize_static`: the two in series.

All files are timed in one call by the protocol of a search, and answer all of test in onnxruntime.
Within each side the fastest file is chosen whose accuracy on the search split is at most
`--drop` points below that of the network as it was brought; what it then has on test is shown.

DIR/NETWORK/ keeps everything; what is there is not made again.
"""

import argparse
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from _compressing_networks import write_function
from _compressing_worker import (
    BROUGHT,
    WEIGHTS,
    Level,
    brought_rows,
    prune_and_tune,
    train_brought,
)
from _handmade_worker import begin

from nas.cli.console import print_table
from nas.executors import make_timer
from nas.front.timing import SPARE_PROCESSES, TIMING_PROCESSES
from nas.prepare.inputs import describe_data, read_data
from nas.run.config import Config, make_config
from nas.system.environment import environment, num_cores
from nas.system.files import make_folder, read_json, write_json
from nas.system.text import fractions, words
from reports.load import load_run
from search_spaces import CandidateError

BY_HAND, RESULTS = "by_hand.json", "compressing.json"
OURS = "nas compress"
SPARE = 0.9
"""Share of the time that is fine-tuning, where the rest is pruning and exporting."""


def main() -> None:
    """Makes what is not there yet, and prints a table per network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=words, default=("resnet20", "mobilenet", "vit"))
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--train", type=float, default=120.0, help="seconds of one thread")
    parser.add_argument("--minutes", type=float, default=5.0, help="of either side")
    parser.add_argument("--levels", type=fractions, default=(0.75, 0.6, 0.45, 0.3))
    parser.add_argument("--drop", type=float, default=0.5, help="points of accuracy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-train", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("further", nargs="*", help="for nas compress, after --")
    given = parser.parse_args()
    names = ("data", "data_dir", "seed")
    config = make_config({name: getattr(given, name) for name in names})
    data = read_data(config)
    print(describe_data(data), flush=True)
    with ProcessPoolExecutor(
        num_cores(), multiprocessing.get_context("spawn"), initializer=begin, initargs=(config, 1)
    ) as pool:
        sizes = {"channels": data.channels, "classes": data.num_classes, "side": data.resolution}
        brought = {
            name: write_function(name, make_folder(given.out / name), **sizes)
            for name in given.networks
        }
        trainings = [
            pool.submit(train_brought, reference, given.out / name, given.train, given.seed)
            for name, reference in brought.items()
        ]
        for name, training in zip(brought, trainings, strict=True):
            print(f"{name}: {training.result()}", flush=True)
        if given.only_train:
            return
        for name, reference in brought.items():
            folder = given.out / name
            if not (folder / RESULTS).exists():
                if not (folder / BY_HAND).exists():
                    write_json(folder / BY_HAND, {"rows": by_hand(pool, given, name, reference)})
                rows = read_json(folder / BY_HAND)["rows"]
                rows += by_command(given, config, name, reference)
                write_json(folder / RESULTS, {"environment": environment(), "rows": timed(rows)})
    for name in brought:
        print_rows(name, read_json(given.out / name / RESULTS)["rows"], given.drop / 100)


def by_hand(
    pool: ProcessPoolExecutor, given: argparse.Namespace, name: str, reference: str
) -> list[dict[str, Any]]:
    """The network itself, and pruned by Torch-Pruning."""
    folder, started = given.out / name, time.monotonic()
    rounds = -(-len(given.levels) // num_cores())
    levels = [
        Level(
            network=name,
            reference=reference,
            folder=folder,
            share=share,
            seconds=SPARE * 60 * given.minutes / rounds,
            seed=given.seed,
        )
        for share in given.levels
    ]
    rows: list[dict[str, Any]] = pool.submit(brought_rows, name, reference, folder).result()
    for level, future in [(level, pool.submit(prune_and_tune, level)) for level in levels]:
        try:
            rows += future.result()
        except Exception as error:  # the library's are of many classes
            print(f"{name}: torch-pruning to {level.share:g}: {error!r:.200}", flush=True)
    print(f"{name}: by hand {time.monotonic() - started:.0f} s", flush=True)
    return rows


def by_command(
    given: argparse.Namespace, config: Config, name: str, reference: str
) -> list[dict[str, Any]]:
    """The front of the command."""
    folder, started = given.out / name, time.monotonic()
    run = folder / "run"
    command = [str(Path(sys.executable).with_name("nas")), "compress", reference]
    command += ["--weights", str(folder / WEIGHTS), "--data", config.data]
    command += ["--data-dir", config.data_dir] if config.data_dir else []
    command += ["--time", f"{given.minutes:g}m", "--seed", str(given.seed), "--out", str(run)]
    with (folder / "compress.log").open("w") as log:
        subprocess.run([*command, *given.further], stdout=log, stderr=log, check=True)
    print(f"{name}: nas compress {time.monotonic() - started:.0f} s", flush=True)
    table = load_run(run)
    return [
        {
            "network": name,
            "side": OURS,
            "precision": member.deployed.precision,
            "file": str(table.folder / member.folder / member.deployed.name),
            "macs": member.macs,
            "params": member.params,
            "bytes": member.deployed.bytes,
            "search": member.deployed.search.shown,
            "test": member.deployed.test.shown,
        }
        for member in table.front
    ]


def timed(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with latencies of one call."""
    files = [Path(row["file"]) for row in rows]
    timings = make_timer(Config())(files, processes=TIMING_PROCESSES, spares=SPARE_PROCESSES)
    failed = next((timing for timing in timings if isinstance(timing, CandidateError)), None)
    if failed:
        raise failed
    return [{**row, "ms": t.median_ms} for row, t in zip(rows, timings, strict=True)]


def print_rows(name: str, rows: Sequence[Mapping[str, Any]], drop: float) -> None:
    """All files by latency, and the fastest of each side that keeps its accuracy."""
    brought = next(r for r in rows if r["side"] == BROUGHT and r["precision"] == "fp32")
    chosen = {}
    for side in dict.fromkeys(row["side"] for row in rows):
        keep = [r for r in rows if r["side"] == side and r["search"] >= brought["search"] - drop]
        if keep:
            chosen[side] = min(keep, key=lambda row: row["ms"])
    cells = [
        [
            row["side"],
            row["precision"],
            f"{row['macs'] / 1e6:.2f}",
            f"{row['bytes'] / 1e3:.1f}",
            f"{row['ms']:.4f}",
            f"{brought['ms'] / row['ms']:.2f}",
            f"{brought['bytes'] / row['bytes']:.2f}",
            f"{100 * row['search']:.2f}",
            f"{100 * row['test']:.2f}",
            "*" if row is chosen.get(row["side"]) else "",
        ]
        for row in sorted(rows, key=lambda row: row["ms"])
    ]
    header = ["side", "precision", "MMACs", "kB", "ms", "times faster", "smaller", "search %"]
    print(f"\n{name}")
    print_table([*header, "test %", "chosen"], cells)


if __name__ == "__main__":
    main()
