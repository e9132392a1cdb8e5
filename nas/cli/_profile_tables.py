"""What `nas profile` prints of files."""

from collections.abc import Mapping
from typing import Any

from nas.cli.console import print_table, say
from nas.latency.peaks import Peaks, is_impossible
from nas.profiling.compare import Pair
from nas.profiling.files import FilesProfile
from nas.profiling.kernels import SLOWEST, Kernels
from nas.profiling.model_file import millions
from nas.profiling.waterline import Waterline

MOST_BOUND = 3
MOST_PAIRS = 15
"""Beyond, only those with the first file are printed; --json and --out have all."""

FACTOR = 1.2
"""Ratios beyond this are said as factors, smaller ones in percent."""


def print_files(found: FilesProfile) -> None:
    """Latencies, which of them differ, what the time goes into, and how far to trust it."""
    energy = ("mJ",) if any(timing.energy_mj for timing in found.comparison.timings) else ()
    counts = ("bytes", "MACs", "speed", "integer kernels", "note")
    print_table(
        ("#", "file", "ms", "95 % interval", *energy, *counts),
        [_row(found, number, has_energy=bool(energy)) for number in range(len(found.files))],
    )
    pairs = found.comparison.pairs
    if pairs:
        say("")
        shown = pairs if len(pairs) <= MOST_PAIRS else [p for p in pairs if p.first == 0]
        print_table(("files", "ratio", "95 % interval", "verdict"), [_pair_row(p) for p in shown])
    first = {file.path: n for n, file in reversed(list(enumerate(found.files)))}
    each_once = {n: found.kernels[n] for n in sorted(first.values())}
    kernels = {n: k for n, k in each_once.items() if isinstance(k, Kernels) and k.nodes}
    if kernels:
        say("")
        print_table(
            ("#", "operators", "nodes", "on integers", "ms", "share"),
            [row for number, each in kernels.items() for row in _class_rows(number, each)],
        )
        say("")
        print_table(
            ("#", f"slowest {SLOWEST} nodes", "operator", "ms"),
            [
                (str(number + 1), node.name, node.op, f"{node.ms:.4f}")
                for number, each in kernels.items()
                for node in each.nodes[:SLOWEST]
            ],
        )
    lines = {n: x for n in sorted(first.values()) if not isinstance(x := found.waterlines[n], str)}
    if lines:
        say("")
        print_table(
            (
                "#",
                "ideal ms",
                "efficiency",
                "waterline ms",
                "fused ms",
                "memory-bound",
                "mostly",
            ),
            [_waterline_row(found, number, line) for number, line in lines.items()],
        )
    say("")
    for sentence in found.sentences():
        say(f"- {sentence}")


def _row(found: FilesProfile, number: int, *, has_energy: bool) -> tuple[str, ...]:
    file, kernels = found.files[number], found.kernels[number]
    timing = found.comparison.timings[number]
    low, high = timing.interval_ms
    speed = 1.0 if number == 0 else 1.0 / found.pair(0, number).ratio
    integer = str(kernels.integer) if isinstance(kernels, Kernels) else "?"
    notes = ["two latencies"] if timing.is_bimodal else []
    notes += [f"MACs unknown: {file.uncounted}"] if file.uncounted else []
    return (
        str(number + 1),
        str(file.path),
        f"{timing.median_ms:.4g}",
        f"{low:.4g} to {high:.4g}",
        *((f"{timing.energy_mj:.4g}" if timing.energy_mj else "?",) if has_energy else ()),
        str(file.num_bytes),
        millions(file.macs),
        f"{speed:.3g}x",
        integer,
        "; ".join(notes),
    )


def _waterline_row(found: FilesProfile, number: int, line: Waterline) -> tuple[str, ...]:
    e = found.efficiency(number)
    flag = " (!)" if is_impossible(e) else ""
    slowest = line.memory_bound(MOST_BOUND)
    return (
        str(number + 1),
        f"{line.ideal_ms:.4g}",
        f"{e:.2f}{flag}",
        f"{line.predicted_ms:.4g}",
        f"{line.fused_ms:.4g}",
        f"{line.memory_bound_share:.0%}",
        ", ".join(f"{bound.kernel.op} {bound.kernel.name}" for bound in slowest),
    )


def _pair_row(pair: Pair) -> tuple[str, ...]:
    low, high = pair.interval
    files = f"{pair.second + 1} against {pair.first + 1}"
    return files, f"{pair.ratio:.3f}", f"{low:.3f} to {high:.3f}", _verdict(pair)


def _verdict(pair: Pair) -> str:
    if pair.is_tie:
        return "tie: not told apart"
    word = "slower" if pair.ratio > 1.0 else "faster"
    factor = max(pair.ratio, 1.0 / pair.ratio)
    by = f"{factor:.2f} times" if factor > FACTOR else f"{abs(pair.ratio - 1.0):.1%}"
    return f"{pair.second + 1} is {by} {word}"


def _class_rows(number: int, kernels: Kernels) -> list[tuple[str, ...]]:
    return [
        (
            str(number + 1),
            each.name,
            str(each.nodes),
            str(each.integer_nodes),
            f"{each.ms:.4f}",
            f"{each.share:.0%}",
        )
        for each in kernels.classes
    ]


def print_efficiency(document: Mapping[str, Any]) -> None:
    """What the files of a run take, and what they would at least."""
    print_table(
        ("key", "file", "ms", "ideal ms", "efficiency", "waterline ms", "fused ms", "memory-bound"),
        [_efficiency_row(row) for row in document["files"]],
    )
    say(f"at most: {Peaks.from_json(document['peaks']).said()}")


def _efficiency_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    named = (row["key"], row["file"], f"{row['latency']['median_ms']:.4g}")
    if "unknown" in row:
        return (*named, *["?"] * 5)
    flag = " (!)" if is_impossible(row["efficiency"]) else ""
    times = [f"{row[name]:.4g}" for name in ("predicted_ms", "fused_ms")]
    share = f"{row['memory_bound_share']:.0%}"
    return (*named, f"{row['ideal_ms']:.4g}", f"{row['efficiency']:.2f}{flag}", *times, share)
