"""How far predicted latencies and sizes are from measured ones, on networks that no fit has seen.

    python benchmarks/latency.py collect OUT --resolution 32 --slots 240 --networks 240
    python benchmarks/latency.py evaluate OUT --files 33 60 200 360
    python benchmarks/latency.py profile PROFILE OUT
    python benchmarks/latency.py sizes --space hybrid --resolution 32 --networks 60

`collect` times files as a profile does and continues where it was ended. `evaluate` fits models of
so many of them, as many slots as `nas profile` takes, and compares them on a hundred others:
multiply-adds alone, a look-up table, slopes, and the model that searches use. `profile` takes a
folder of `nas profile --space` instead of a fit, and networks of another seed, timed at another
hour: beside the model stands by how much they were slower, in the middle, and errors are of
predictions times that. `sizes` exports networks and compares their bytes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.executors import make_timer
from nas.latency import (
    HeldOut,
    LatencyModel,
    Row,
    at_one_speed,
    by_macs,
    choose_networks,
    choose_signatures,
    error_of,
    networks_of,
)
from nas.latency._fit import by_fit, said
from nas.latency._rows import kind_of, overhead_of
from nas.latency._slopes import fit_slopes
from nas.latency.measure import export_random, measure_rows
from nas.prepare.inputs import make_problem
from nas.problem.feasible import sample_within
from nas.problem.problem import Limit
from nas.profiling.space import NETWORKS_SHARE, SHARES
from nas.run.config import Config
from nas.system.files import append_line, make_folder, read_json, read_lines, write_json
from nas.system.text import parse_time
from nas.targets import choose
from search_spaces import SearchSpace, Slot, load_space, slot_cost

ASKED, ROWS = "asked.json", "rows.jsonl"
HELD_OUT, SMALL = 100, 100_000
SPLITS = 3


def collect(options: argparse.Namespace) -> None:
    """Time slots and networks until all are timed or the time is up."""
    out = make_folder(options.out)
    asked = {
        "space": options.space,
        "resolution": options.resolution,
        "channels": options.channels,
        "num_classes": options.classes,
        "precision": list(Config.precision),
        "sparsity": list(Config.sparsity),
        "target": options.target,
        "seed": options.seed,
        "files": [options.slots, options.networks],
    }
    if not (out / ASKED).exists():
        write_json(out / ASKED, asked)
    assert read_json(out / ASKED) == asked, f"{out} holds something else"
    space, rng = space_of(asked), np.random.default_rng(options.seed)
    pool_NC = np.concatenate(list(_pools(space, rng)))
    slots = choose_signatures(space, pool_NC, options.slots, rng) if options.slots else []
    networks = choose_networks(space, pool_NC, options.networks, rng)
    started = time.monotonic()
    rows = measure_rows(
        space,
        slots,
        networks,
        timer=make_timer(Config(), choose(options.target).text),
        known=read_lines(out / ROWS, Row.from_json),
        record=lambda row: append_line(out / ROWS, row.to_json()),
        progress=lambda done, of: print(f"{done} of {of}", flush=True),
        is_late=lambda: time.monotonic() - started > parse_time(options.time),
    )
    print(f"{len(rows)} files, {time.monotonic() - started:.0f} s")


def _pools(space: SearchSpace, rng: np.random.Generator) -> Iterable[np.ndarray]:
    """Networks of all sizes."""
    assert space.costs is not None
    for share in SHARES:
        most = share * space.costs.maximum("macs")[0]
        if most >= space.costs.minimum("macs")[0]:
            yield sample_within(make_problem(space, [Limit("macs", most)]), 400, rng)


def space_of(asked: Mapping[str, Any]) -> SearchSpace:
    """The space that files were timed for."""
    found = load_space(
        asked["space"],
        resolution=asked["resolution"],
        channels=asked["channels"],
        num_classes=asked["num_classes"],
    )
    return found.with_policy(tuple(asked["precision"]), tuple(asked["sparsity"]))


def evaluate(options: argparse.Namespace) -> None:
    """Print a row per model and number of files: the mean over random splits."""
    asked = read_json(options.out / ASKED)
    space = space_of(asked)
    rows = at_one_speed(read_lines(options.out / ROWS, Row.from_json))
    alone = [row for row in rows if row.slot is not None]
    whole, rest = networks_of(rows), [row for row in rows if row.encoding is None]
    calls = [row for row in rest if row.slot is None]
    print(f"{len(alone)} slots, {len(whole)} networks, {asked['target']}\n{HEADER}")
    for files in options.files:
        networks = round(NETWORKS_SHARE * files)
        slots = files - networks
        errors: dict[str, list[dict[str, HeldOut]]] = {name: [] for name in MODELS}
        for split in range(SPLITS):
            order = np.random.default_rng(split).permutation(len(whole)).tolist()
            held = [whole[i] for i in order[:HELD_OUT]]
            taken = [whole[i] for i in order[HELD_OUT:][:networks]]
            fitted = [*calls, *alone[:slots], *taken]
            for name, model in MODELS.items():
                predicted = model(space, asked["target"], fitted, held)
                errors[name].append(by_format(space, predicted, held))
        for name, found in errors.items():
            print(table_row(f"{min(slots, len(alone))} + {len(taken)}", name, found))


HEADER = (
    "| slots + networks | model | mean error, % | within 5 % | within 10 % | tau "
    "| fp32 / int8 / mixed, % |\n|---|---|---|---|---|---|---|"
)


def table_row(files: str, name: str, found: Sequence[Mapping[str, HeldOut]]) -> str:
    """The mean over splits."""

    def mean(of: Callable[[HeldOut], float], part: str = "all") -> float:
        return float(np.mean([of(error[part]) for error in found if part in error]))

    parts = [part for part in ("fp32", "int8", "mixed") if any(part in each for each in found)]
    return (
        f"| {files} | {name} | {100 * mean(lambda e: e.mape):.1f} "
        f"| {mean(lambda e: e.within_5):.2f} | {mean(lambda e: e.within_10):.2f} "
        f"| {mean(lambda e: e.kendall_tau):.3f} | "
        + " / ".join(f"{100 * mean(lambda e: e.mape, part):.1f}" for part in parts)
        + " |"
    )


def by_format(
    space: SearchSpace, predicted_N: np.ndarray, rows: Sequence[Row]
) -> dict[str, HeldOut]:
    """Errors on all networks and on those of one format or several."""
    parts: dict[str, list[int]] = {"all": list(range(len(rows)))}
    for number, row in enumerate(rows):
        formats = {slot.signature.precision for slot in row.slots(space)}
        parts.setdefault(next(iter(formats)) if len(formats) == 1 else "mixed", []).append(number)
    return {
        part: error_of(predicted_N[numbers], [rows[number] for number in numbers])
        for part, numbers in parts.items()
        if len(numbers) > 1
    }


Predicts = Callable[[SearchSpace, str, Sequence[Row], Sequence[Row]], np.ndarray]
"""Of a space and a target, from rows, milliseconds of other ones, which are networks."""


def by_line(
    space: SearchSpace, target: str, rows: Sequence[Row], networks: Sequence[Row]
) -> np.ndarray:
    """Multiply-adds alone."""
    return by_macs(space, rows, networks)


def by_table(
    space: SearchSpace, target: str, rows: Sequence[Row], networks: Sequence[Row]
) -> np.ndarray:
    """The sum of slots that were timed alone.

    One that was not is the timed one of its kind with the next multiply-adds, in proportion.
    """
    overhead_ms = overhead_of(rows)
    known: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.slot is not None:
            entry = float(slot_cost(row.slot).macs), row.own_ms(overhead_ms)
            known.setdefault(kind_of(row.slot.signature), []).append(entry)
    anything = [entry for entries in known.values() for entry in entries]

    def looked_up(slot: Slot) -> float:
        macs = float(slot_cost(slot).macs)
        entries = known.get(kind_of(slot.signature), anything)
        nearest, ms = min(entries, key=lambda entry: abs(np.log((entry[0] + 1) / (macs + 1))))
        return ms * (macs + 1) / (nearest + 1)

    return np.array([overhead_ms + sum(map(looked_up, row.slots(space))) for row in networks])


def by_slopes(
    space: SearchSpace, target: str, rows: Sequence[Row], networks: Sequence[Row]
) -> np.ndarray:
    """One regression, without corrections."""
    return said(space, target, fit_slopes(space, rows, target), networks)


MODELS: Mapping[str, Predicts] = {
    "multiply-adds": by_line,
    "look-up table": by_table,
    "slopes": by_slopes,
    "ours": by_fit,
}


def compare(options: argparse.Namespace) -> None:
    """How far a profile is right about networks that were timed apart from it."""
    document = read_json(options.profile / "profile.json")
    space = space_of(read_json(options.out / ASKED))
    own = at_one_speed(read_lines(options.profile / ROWS, Row.from_json))
    rows = at_one_speed(read_lines(options.out / ROWS, Row.from_json))
    held = networks_of(rows)
    model = LatencyModel.from_json(document, space)
    encodings_NC = np.array([row.encoding for row in held])
    files = f"{sum(row.slot is not None for row in own)} + {len(networks_of(own))}"
    print(f"its own: {document['held_out']}\n{HEADER}")
    for name, predicted_N in (
        ("multiply-adds", by_macs(space, own, held)),
        ("look-up table", by_table(space, model.target, own, held)),
        ("profile", model.of("latency_ms", encodings_NC)),
    ):
        scale = np.median([row.latency_ms for row in held] / predicted_N)
        found = by_format(space, scale * predicted_N, held)
        print(table_row(files, f"{name}, x {scale:.3f}", [found]))
    many_NC = space.sample(np.random.default_rng(0), 100_000)
    started = time.perf_counter()
    model.of("latency_ms", many_NC)
    print(f"100,000 predictions: {time.perf_counter() - started:.2f} s")


def sizes(options: argparse.Namespace) -> None:
    """Bytes of exported networks beside those predicted."""
    asked = {**vars(options), "num_classes": options.classes}
    space = space_of(
        asked | {"precision": list(Config.precision), "sparsity": list(Config.sparsity)}
    )
    assert space.costs is not None
    rng = np.random.default_rng(options.seed)
    networks = choose_networks(
        space, np.concatenate(list(_pools(space, rng))), options.networks, rng
    )
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        for encoding in networks:
            export_random(space.slots(encoding), file)
            found.append(file.stat().st_size)
    predicted_N = space.costs.of("size_bytes", np.array(networks))
    error_N = np.abs(predicted_N / np.array(found) - 1)
    for name, is_in_N in (
        ("all", np.ones(len(found), bool)),
        (f"below {SMALL // 1000} kB", np.array(found) < SMALL),
        (f"from {SMALL // 1000} kB on", np.array(found) >= SMALL),
    ):
        if is_in_N.any():
            print(
                f"{name}: {is_in_N.sum()} files, mean error {error_N[is_in_N].mean():.2%}, within "
                f"2 % {(error_N[is_in_N] <= 0.02).mean():.0%}, largest {error_N[is_in_N].max():.2%}"
            )


def main() -> None:
    """Do what the first word says."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)

    def command(name: str, function: Callable[[argparse.Namespace], None]) -> Any:
        added = commands.add_parser(name)
        added.set_defaults(function=function)
        return added

    of_space = {"collect": collect, "sizes": sizes}
    for name, function in of_space.items():
        added = command(name, function)
        added.add_argument("--space", default="hybrid")
        added.add_argument("--resolution", type=int, default=32)
        added.add_argument("--channels", type=int, default=1)
        added.add_argument("--classes", type=int, default=100)
        added.add_argument("--networks", type=int, default=60)
        added.add_argument("--seed", type=int, default=1)
        if name == "collect":
            added.add_argument("out", type=Path)
            added.add_argument("--target", default=Config.target)
            added.add_argument("--slots", type=int, default=0)
            added.add_argument("--time", default="10m")
    added = command("evaluate", evaluate)
    added.add_argument("out", type=Path)
    added.add_argument("--files", type=int, nargs="+", default=[33, 60, 200, 360])
    added = command("profile", compare)
    added.add_argument("profile", type=Path)
    added.add_argument("out", type=Path)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
