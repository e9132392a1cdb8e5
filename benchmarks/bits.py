"""Which full-precision networks are dominated: by bit cost, by measured latency, by bytes?

    python benchmarks/bits.py --data fashion-mnist --minutes 5 --out DIR

A family of one operator in three widths, and each width in three formats, as the grid of
Abdolrashidi et al., Pareto-Optimal Quantized ResNet Is Mostly 4-bit (2021). Each width is trained
alone on labels, all for equally many steps, which together take the time that is not put aside for
files; formats are applied after training. All files are written, timed in one call and verified as
a search does it. A point in fp32 is dominated if a quantized one is at least as accurate on test
and costs no more, and one of both is strict. DIR/bits.json has every number.

Departures: the paper trains with quantization; its 4 bits are of weights and activations, `int4w`
has 4 bits in weights of linear layers alone, 8 in those of convolutions, and multiplies in fp32.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy.stats import kendalltau

from nas.cli.console import print_table
from nas.data import DataSet
from nas.executors import make_timers
from nas.finalists.entry import Entry, Finetuned
from nas.front.folders import DEPLOYED
from nas.front.measure import Exporter
from nas.prepare.afford import TIMING_S_PER_FILE
from nas.prepare.inputs import describe_data, make_problem, read_data
from nas.prepare.plan import formats_of, training_images
from nas.run.config import Config, make_config
from nas.run.directory import Run
from nas.scoring.scorer import Scorer
from nas.standalone.beside import Job, num_beside, train_beside
from nas.standalone.train import NETWORK, alone_plan, fastest_plan, fresh_network
from nas.system.environment import environment, num_cores
from nas.system.files import make_folder, read_json, write_json
from nas.system.text import fractions, words
from search_spaces import (
    FULL_PRECISION,
    Candidate,
    CandidateError,
    SearchSpace,
    Stage,
    Staged,
    declaration,
    pyramid,
)
from supernets.plan import TrainPlan
from supernets.supernet import Supernet

RESULTS = "bits.json"
BASE_WIDTH = 32
"""Channels of the first stage at width 1; they double from stage to stage."""

OPTIONS = (("kernel_size", (5,)), ("expand_ratio", (4,)), ("num_heads", (2,)), ("eca", (0,)))
FILES_SHARE, IMAGES_PER_SCORE, MIN_STEPS = 0.35, 1000, 20
COSTS = {"bit_ops": "bit cost", "latency_ms": "measured latency", "bytes": "bytes"}


def main() -> None:
    """Makes the grid, or reads it back; prints a table and who is dominated."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--operator", default="convnext")
    parser.add_argument("--widths", type=fractions, default=(1.0, 0.75, 0.5))
    parser.add_argument("--formats", type=words, default=("fp32", "int8", "int4w"))
    parser.add_argument("--depth", type=int, default=2, help="blocks of each stage")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    results = make_folder(given.out) / RESULTS
    if not results.exists():
        write_json(results, made(given))
    rows = read_json(results)["rows"]
    print_rows(rows)
    print_dominated(rows)


def made(given: argparse.Namespace) -> dict[str, Any]:
    """bits.json."""
    config = make_config(
        {
            **{name: getattr(given, name) for name in ("data", "data_dir", "seed")},
            "precision": given.formats,
            "sparsity": (0.0,),
            "time": f"{given.minutes:g}m",
        }
    )
    data = read_data(config)
    print(describe_data(data), flush=True)
    space = family(data, given)
    of_width = {width: member(space, width, FULL_PRECISION) for width in given.widths}
    plan, facts = trained(config, space, data, of_width, given)
    entries, points = [], []
    for width, candidate in of_width.items():
        for name in given.formats:
            finetuned = Finetuned(
                f"{candidate.key}-{width:g}-{name}", folder_of(given.out, width) / NETWORK, facts
            )
            deployed = member(space, width, name)
            entries.append(Entry(deployed, "grid", finetuned=finetuned))
            points.append({"width": width, "format": name})
    problem = make_problem(space, (), task=data.task)
    scorer = Scorer(Supernet(space, seed=given.seed), data, IMAGES_PER_SCORE)
    run = Run.open(given.out / "run", config)
    cards = Exporter(run, problem, scorer, data, make_timers(config)).cards(entries)
    rows = []
    for point, card in zip(points, cards, strict=True):
        if isinstance(card, CandidateError):
            raise card
        rows.append({**point, **numbers_of(card)})
    return {"environment": environment(), "steps": plan.steps, "rows": rows}


def family(data: DataSet, given: argparse.Namespace) -> SearchSpace:
    """All widths in all formats; a stage has the width of the family's member at its place."""
    dims = declaration(given.operator).dims
    stages = tuple(
        Stage(
            widths=tuple(channels(width, i) for width in sorted(given.widths)),
            depths=(given.depth,),
            operators=(given.operator,),
            options=tuple(row for row in OPTIONS if row[0] in dims),
        )
        for i in range(len(pyramid(data.resolution).sizes))
    )
    network = Staged(
        resolution=data.resolution,
        channels=data.channels,
        num_classes=data.num_outputs,
        stages=stages,
    )
    return SearchSpace.of_network(given.operator, network).with_policy(given.formats, (0.0,))


def channels(width: float, stage: int) -> int:
    """Of a stage, the first being 0."""
    return round(BASE_WIDTH * width) * 2**stage


def member(space: SearchSpace, width: float, precision: str) -> Candidate:
    """The network of one width in one format throughout."""
    options = {choice.name: choice.options[0] for choice in space.choices}
    for place, column in enumerate(space.columns("width")):
        options[space.choices[column].name] = channels(width, place)
    for column in space.columns("precision"):
        options[space.choices[column].name] = precision
    return space.candidate(space.encode(options))


def folder_of(out: Path, width: float) -> Path:
    """Of a width's training."""
    return out / f"width-{width:g}"


def trained(
    config: Config,
    space: SearchSpace,
    data: DataSet,
    of_width: Mapping[float, Candidate],
    given: argparse.Namespace,
) -> tuple[TrainPlan, dict[str, Any]]:
    """Trains all widths beside each other; the plan of all, and what cards say of it."""
    images = training_images(data)
    plan = alone_plan(TrainPlan(steps=1, seed=given.seed, batch_size=64), steps=1)
    networks = {w: fresh_network(space, c, given.seed) for w, c in of_width.items()}
    step_s = 0.0
    for network in networks.values():
        plan, own_s = fastest_plan(network, images, formats_of(config, plan))
        step_s += own_s
    files_s = FILES_SHARE * config.seconds + TIMING_S_PER_FILE * len(of_width)
    seconds = max(0.0, config.seconds - files_s) * min(num_cores(), len(networks))
    plan = alone_plan(plan, steps=max(MIN_STEPS, int(seconds / step_s)))
    print(f"{plan.steps} steps of {plan.batch_size} images for each width", flush=True)
    jobs = [
        Job(f"{width:g}", network, images, make_folder(folder_of(given.out, width)), plan)
        for width, network in networks.items()
    ]
    train_beside(iter(jobs), processes=num_beside(len(jobs)))
    facts = {"from": "", "steps": plan.steps, "images_per_step": plan.batch_size, "epochs": None}
    return plan, facts | {"teacher": "none", "data": "", "batch_norm": "batch"}


def numbers_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the table shows of a card."""
    deployed = card["files"][DEPLOYED]
    accuracy = {split: deployed["accuracy"][split]["fraction"] for split in ("search", "test")}
    latency = deployed["latency"]
    return {
        "macs": card["macs"],
        "bit_ops": card["bit_ops"],
        "latency_ms": latency["median_ms"],
        "interval_ms": latency["interval_ms"],
        "bytes": deployed["bytes"],
        **accuracy,
    }


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """The grid, and how far bit cost ranks it as latency does."""
    cells = [
        [
            f"{row['width']:g}",
            row["format"],
            f"{row['macs'] / 1e6:.2f}",
            f"{row['bit_ops'] / 1e6:.2f}",
            f"{row['latency_ms']:.4f}",
            "{:.4f}-{:.4f}".format(*row["interval_ms"]),
            f"{row['bytes'] / 1e3:.1f}",
            f"{100 * row['search']:.2f}",
            f"{100 * row['test']:.2f}",
        ]
        for row in rows
    ]
    header = ["width", "format", "MMACs", "bit cost, 1e6", "ms", "95 % interval", "kB"]
    print_table([*header, "search %", "test %"], cells)
    for cost in ("bit_ops", "macs", "bytes"):
        tau = kendalltau([row[cost] for row in rows], [row["latency_ms"] for row in rows])
        print(f"Kendall tau of {cost} and measured latency: {tau.statistic:.2f}")


def print_dominated(rows: Sequence[Mapping[str, Any]]) -> None:
    """Who dominates each point in fp32, by each cost."""
    quantized = [row for row in rows if row["format"] != FULL_PRECISION]
    cells = []
    for point in (row for row in rows if row["format"] == FULL_PRECISION):
        by = [[named(r) for r in quantized if dominates(r, point, cost)] for cost in COSTS]
        cells.append([named(point), *("; ".join(names) or "nobody" for names in by)])
    print_table(["point", *(f"dominated in {title} by" for title in COSTS.values())], cells)


def named(row: Mapping[str, Any]) -> str:
    """ "0.75 int8"."""
    return f"{row['width']:g} {row['format']}"


def dominates(one: Mapping[str, Any], other: Mapping[str, Any], cost: str) -> bool:
    """Whether it is at least as accurate on test at no more cost, and better in one of both."""
    differences = (one["test"] - other["test"], other[cost] - one[cost])
    return min(differences) >= 0 and max(differences) > 0


if __name__ == "__main__":
    main()
