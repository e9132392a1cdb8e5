"""Is it better to search architecture, sparsity and formats jointly than one after the other?

    python benchmarks/series.py --data fashion-mnist --minutes 6 --seeds 3 --out DIR

For each seed one supernet is trained as by `nas train`, with all operators, sparsities and formats
of the product's defaults; its time is the same for all sides. On it

- **joint** scores `--evaluations` candidates in one search of all choices;
- **series** takes a third of them each for architectures (dense, in fp32), for the sparsities of
  the best `--carried` of these, and for the formats of the best of all so far; where all that they
  can become is scored, the next best follow;
- **largest int8** is the largest member in int8 throughout, which needs no search.

Searches have one controller, predicted latency and lag; `--fix` (`nas/problem/fix.py`) is what
makes a step of the series. Of both searches the first `--finalists` are taken, in the order in
which a search takes its own. Then all networks, whichever side they are of, are trained further for
equally long by a search's recipe, exported, timed in one call, and answer all of search and test.

Hypervolume is the share of a box that a side's front dominates: see `_handmade_against.py`. Of each
side the fastest and the smallest file are compared with the largest network in fp32, among those
that lose nothing, or at most half a point, on search against it. SimQ-NAS reports 4.80 and 3.44
times.

`--minutes` is for all of one seed: `TRAIN_SHARE` of it trains the supernet, what scores and files
leave is further training. DIR/seedN/NAME.json is written as a step ends, trials and files are kept
one by one; the same command continues. A step that was killed counts with what is left of it.

Departures from what a person would do: nobody looks at a step's front before the next begins; the
networks that a step goes on with are as many as told, and get equally many scores.
"""

import argparse
import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from _handmade_against import AXES, Row, print_hypervolumes, print_rows
from _series_finals import DROPS, LARGEST, Finalist, chosen, document, further_s, measured
from _series_searches import Found, in_series, jointly

from nas.cli.console import print_table
from nas.prepare.names import refuse_unknown
from nas.prepare.reopen import Trained, reopened
from nas.problem.trial import Trial
from nas.run.config import Config, differences, make_config
from nas.system.environment import environment
from nas.system.files import make_folder, read_json, write_json
from nas.system.reporter import Silent
from nas.system.text import setting
from nas.train import train_supernet
from search_spaces import SearchSpace, UserError

TRAIN_SHARE, SPARE_SHARE = 0.4, 0.08
JOINT, SERIES = "joint", "series"
ARGUMENTS = "arguments.json"


def main() -> None:
    """Makes what is not there yet, and prints tables per seed and of all seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--space", default="hybrid")
    parser.add_argument("--budget", action="append", default=[])
    parser.add_argument("--minutes", type=float, default=6.0, help="of each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=90, help="of either search")
    parser.add_argument("--carried", type=int, default=3, help="networks, from step to step")
    parser.add_argument("--finalists", type=int, default=6, help="of either search")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    refuse_others(given)
    documents = []
    for seed in range(given.seeds):
        documents.append(one_seed(given, seed))
        gc.collect()  # locks of runs
        print(f"\nseed {seed}")
        print_seed(documents[-1])
    print("\nall seeds, means")
    print_volumes(documents)
    print_lossless(documents)


def refuse_others(given: argparse.Namespace) -> None:
    """See that what DIR has was asked for with the same arguments; only seeds may be more.

    Raises:
        UserError: Saying what differs.
    """
    file = make_folder(given.out) / ARGUMENTS
    arguments = {name: v for name, v in vars(given).items() if name not in ("out", "seeds")}
    if not file.exists():
        write_json(file, arguments)
    known = {name: v for name, v in read_json(file).items() if name in arguments}
    if changed := differences(known, arguments):
        raise UserError(f"'{file}' is of other arguments: {changed}. Use another --out.")


def configured(given: argparse.Namespace, seed: int) -> Config:
    """The supernet's training."""
    names = ("data", "data_dir", "space")
    config = make_config(
        {
            **{name: getattr(given, name) for name in names},
            "budget": tuple(given.budget),
            "time": f"{60 * TRAIN_SHARE * given.minutes:.0f}s",
            "seed": seed,
            "set": dict(map(setting, given.set)),
        }
    )
    refuse_unknown(config)
    return config


def one_seed(given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Everything about one seed: its steps, each made once."""
    folder = make_folder(given.out / f"seed{seed}")
    spent: dict[str, float] = {}

    def step(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A step's document; made now if there is none."""
        file = folder / f"{name}.json"
        if not file.exists():
            started = time.monotonic()
            made = make()
            write_json(file, {**made, "seconds": round(time.monotonic() - started, 1)})
        found = read_json(file)
        spent[name] = float(found["seconds"])
        print(f"seed {seed}, {name}: {spent[name]:.0f} s", flush=True)
        return found

    config = configured(given, seed)
    step("train", lambda: train_supernet(config, folder / "supernet", Silent()))
    if (folder / "files.json").exists():
        return read_json(folder / "files.json")
    gc.collect()  # the lock of the run
    whole = reopened(folder / "supernet", Silent(), needs_front=False)
    number, space = given.evaluations, whole.problem.space
    sides = {
        JOINT: lambda: jointly(whole, folder / JOINT, number),
        SERIES: lambda: in_series(whole, folder / SERIES, number, given.carried),
    }
    found = {
        side: trials_of(step(side, lambda make=make: to_json(make())), space)
        for side, make in sides.items()
    }
    planned = step("plan", lambda: plan_of(whole, found, given, sum(spent.values())))
    finalists = [
        Finalist(trial=Trial.from_json(row["trial"], space), sides=tuple(row["sides"]))
        for row in planned["finalists"]
    ]

    def files() -> dict[str, Any]:
        rows = measured(whole, folder / "finals", finalists, planned["train_s"])
        facts = {"environment": environment(), "train_s": planned["train_s"], "spent": spent}
        return {**facts, **document(rows, len(whole.data.classes))}

    return step("files", files)


def plan_of(
    whole: Trained,
    found: Mapping[str, Sequence[Trial]],
    given: argparse.Namespace,
    spent_s: float,
) -> dict[str, Any]:
    """Who is trained further, and for how long."""
    started = time.monotonic()
    finalists = chosen(whole, found, given.finalists)
    left_s = 60 * (1 - SPARE_SHARE) * given.minutes - spent_s - (time.monotonic() - started)
    return {
        "finalists": [{"trial": f.trial.to_json(), "sides": f.sides} for f in finalists],
        "train_s": round(further_s(whole, len(finalists), left_s), 1),
    }


def to_json(found: Found) -> dict[str, Any]:
    """What a side has found, for its file."""
    return {
        "evaluations": found.evaluations,
        "trials": [trial.to_json() for trial in found.trials],
    }


def trials_of(found: Mapping[str, Any], space: SearchSpace) -> list[Trial]:
    """The inverse of `to_json`."""
    return [Trial.from_json(row, space) for row in found["trials"]]


def print_seed(found: Mapping[str, Any]) -> None:
    """All files, and hypervolumes."""
    rows = [Row(**row) for row in found["rows"]]
    print_rows(rows)
    print_hypervolumes(rows, found["hypervolume"], found["num_classes"])
    print(f"further training of all {len({row.name for row in rows})}: {found['train_s']:.0f} s")


def print_volumes(documents: Sequence[Mapping[str, Any]]) -> None:
    """Mean hypervolumes, and in how many seeds joint is ahead of series."""
    cells = []
    for cost, by_side in documents[0]["hypervolume"].items():
        for side in by_side:
            shares = [[d["hypervolume"][cost][side][axis] for d in documents] for axis in AXES]
            cells.append([cost, side, *(_means(of_axis) for of_axis in shares)])
        ahead = [
            sum(
                d["hypervolume"][cost][JOINT][axis] > d["hypervolume"][cost][SERIES][axis]
                for d in documents
            )
            for axis in AXES
        ]
        cells.append([cost, "joint above series, seeds", *map(str, ahead)])
    print_table(["accuracy and", "side", "linear axis %", "log10 axis %"], cells)


def _means(shares: Sequence[float]) -> str:
    each = " ".join(f"{100 * share:.2f}" for share in shares)
    return f"{100 * mean(shares):.2f} ({each})"


def print_lossless(documents: Sequence[Mapping[str, Any]]) -> None:
    """Geometric means of ratios to the largest network in fp32; a dash where none is able."""
    sides = dict.fromkeys(row["side"] for row in documents[0]["lossless"])
    cells = []
    for side in sides:
        for drop in DROPS:
            rows = [
                row
                for found in documents
                for row in found["lossless"]
                if (row["side"], row["drop"]) == (side, drop)
            ]
            able = [row for row in rows if row["faster"] is not None]
            cells.append(
                [
                    side,
                    f"{100 * drop:g}",
                    f"{len(able)} of {len(rows)}",
                    *(_ratio([row[name] for row in able]) for name in ("faster", "smaller")),
                    *(
                        " ".join(f"{100 * row[name]:+.1f}" for row in able) or "-"
                        for name in ("test_change_of_fastest", "test_change_of_smallest")
                    ),
                ]
            )
    print(f"against '{LARGEST}', which is trained further like all others:")
    header = ["side", "points lost at most", "seeds", "times faster", "times smaller"]
    print_table([*header, "test points, fastest", "test points, smallest"], cells)


def _ratio(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    each = " ".join(f"{ratio:.2f}" for ratio in ratios)
    return f"{math.exp(mean(map(math.log, ratios))):.2f} ({each})"


if __name__ == "__main__":
    main()
