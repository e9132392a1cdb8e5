"""What the machine's peak would allow and what networks take, as `nas profile RUN` measured it.

Efficiency is ideal time by actual time; ideal is multiply-adds at the peak of this runtime on this
machine. What is above 1, but for noise, is no efficiency but a sign that both are not of one speed
of the machine, and is flagged.
"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from nas.latency.peaks import Peaks, is_impossible
from reports import tips
from reports.axes import SHAPES, Json, padded, score_axis
from reports.documents import Json as Document
from reports.documents import as_number, as_text, table_at, tables_at
from reports.front_plot import kind, shape
from reports.records import DEPLOYED, Efficiency, FileEfficiency, KernelRow, Member, RunTables
from search_spaces import UserError

FEWEST_TO_RANK = 3

GROUPS: Mapping[str, str] = {
    "convolution": "convolution",
    "matrix product": "linear",
    "attention": "attention",
    "normalisation": "normalisation",
}
"""By class of operator how reports call it; the rest is "other"."""

NAMES = ("convolution", "linear", "attention", "normalisation", "other")


def read_efficiency(document: Document) -> Efficiency | None:
    """What `nas profile RUN` has measured; None where it has not."""
    files = [_file(row) for row in tables_at(document, "files")]
    known = tuple(file for file in files if file is not None)
    return (
        Efficiency(
            target=as_text(document.get("target")),
            peaks=_peaks(table_at(document, "peaks")),
            files=known,
        )
        if known
        else None
    )


def columns(run: RunTables, member: Member) -> dict[str, object]:
    """Of pareto.csv: what the deployed file takes at least; no columns where that is not known."""
    if run.efficiency is None:
        return {}
    found = run.efficiency.of(member)
    return {
        "efficiency": found and found.efficiency,
        "latency_ms_again": found and found.latency_ms,
        "ideal_ms": found and found.ideal_ms,
        "waterline_ms": found and found.waterline_ms,
        "fused_ms": found and found.fused_ms,
    }


def rows_of(run: RunTables) -> list[tuple[Member, FileEfficiency]]:
    """Networks in the order of the front, as deployed."""
    if run.efficiency is None:
        return []
    pairs = [(member, run.efficiency.of(member)) for member in run.members]
    return [(member, found) for member, found in pairs if found is not None]


def too_efficient(run: RunTables) -> list[str]:
    """Keys of networks that are faster than the peaks allow."""
    return [m.key for m, found in rows_of(run) if is_impossible(found.efficiency)]


def sentences(run: RunTables) -> list[str]:
    """On the machine, and how well the waterline ranks networks."""
    rows = rows_of(run)
    if run.efficiency is None or not rows:
        return []
    found = [f"{run.efficiency.target} reaches at most {run.efficiency.peaks}."]
    known = [(m, e) for m, file in rows if (e := file.efficiency) is not None]
    if known:
        (low, least), (high, most) = (pick(known, key=lambda pair: pair[1]) for pick in (min, max))
        found.append(
            f"Efficiency is {least:.2f} ({low.key}) to {most:.2f} ({high.key}) of what these peaks "
            "allow."
        )
    costs = pd.DataFrame(
        [(f.latency_ms, f.waterline_ms, f.fused_ms, m.macs) for m, f in rows],
        columns=["ms", "waterline", "fused", "macs"],
        dtype=float,
    ).dropna()
    if len(costs) >= FEWEST_TO_RANK:
        taus = {
            name: float(costs["ms"].corr(costs[name], method="kendall"))
            for name in ("waterline", "fused", "macs")
        }
        if all(map(math.isfinite, taus.values())):
            found.append(
                f"Kendall tau of measured latency on {len(costs)} networks: with the waterline "
                f"{taus['waterline']:.2f}, with perfectly fused blocks {taus['fused']:.2f}, with "
                f"multiply-adds {taus['macs']:.2f}."
            )
    return found


def gap_plot(run: RunTables) -> Json | None:
    """The task's metric at ideal and at measured latency, joined; None where nothing is known."""
    rows = [
        (member, found, member.task.shown.factor * member.deployed.search.shown)
        for member, found in rows_of(run)
        if found.ideal_ms and member.deployed.search.shown is not None
    ]
    if not rows:
        return None
    times = [ms for _, found, _ in rows for ms in (found.ideal_ms or 0.0, found.latency_ms)]
    label = "Latency, ms: ideal and measured"
    return {
        "type": "dots",
        "height": 340,
        "x": {"domain": padded(times, is_log=True), "log": True, "label": label},
        "y": score_axis(run.task.shown, [y for _, _, y in rows], " on search"),
        "hasDiagonal": False,
        "stairs": [
            {"kind": _colour(member), "points": [(found.ideal_ms, y), (found.latency_ms, y)]}
            for member, found, y in rows
        ],
        "dots": [
            {
                "x": x,
                "y": y,
                "kind": f"{mark} {kind(member)}",
                "shape": SHAPES[shape(kind(member))],
                "r": 6,
                "title": f"{member.key} · {member.name}",
                "facts": _facts(found),
                "network": [],
            }
            for member, found, y in rows
            for mark, x in (("ideal", found.ideal_ms), ("mark", found.latency_ms))
        ],
    }


def by_group(file: FileEfficiency) -> dict[str, float]:
    """Milliseconds of a call by what reports call the class of operator."""
    found = dict.fromkeys(NAMES, 0.0)
    for name, ms in file.classes.items():
        found[GROUPS.get(name, NAMES[-1])] += ms
    return found


def covered(file: FileEfficiency) -> float:
    """What operators take together as a share of the latency, which was measured apart."""
    return sum(file.classes.values()) / file.latency_ms


def classes_of(run: RunTables) -> list[tuple[Member, FileEfficiency]]:
    """Every file whose time is known by class: as deployed, then before quantization."""
    if run.efficiency is None:
        return []
    by_key = {member.key: member for member in run.members}
    files = [file for file in run.efficiency.files if file.classes and file.key in by_key]
    order = list(by_key)
    files = sorted(files, key=lambda f: (order.index(f.key), f.file != DEPLOYED))
    return [(by_key[file.key], file) for file in files]


def _colour(member: Member) -> str:
    return {"largest-full": "run1", "largest-quantized": "run4", "front": "run0"}.get(
        kind(member), "run3"
    )


def _facts(found: FileEfficiency) -> Sequence[tuple[str, str]]:
    flag = ", above 1" if is_impossible(found.efficiency) else ""
    return [
        ("Ideal", tips.time(found.ideal_ms)),
        ("Measured", tips.time(found.latency_ms)),
        ("Efficiency", f"{found.efficiency or 0.0:.2f}{flag}"),
        ("Waterline", tips.time(found.waterline_ms)),
        ("Perfectly fused", tips.time(found.fused_ms)),
    ]


def _file(row: Document) -> FileEfficiency | None:
    latency_ms = as_number(table_at(row, "latency").get("median_ms"))
    if not latency_ms:
        return None
    times = [
        (as_text(each.get("name")), as_number(each.get("ms"))) for each in tables_at(row, "classes")
    ]
    kernels = [_kernel(each) for each in tables_at(row, "kernels")]
    return FileEfficiency(
        key=as_text(row.get("key")),
        file=as_text(row.get("file")),
        latency_ms=latency_ms,
        ideal_ms=as_number(row.get("ideal_ms")),
        waterline_ms=as_number(row.get("predicted_ms")),
        fused_ms=as_number(row.get("fused_ms")),
        memory_bound_share=as_number(row.get("memory_bound_share")),
        classes={name: ms for name, ms in times if ms is not None},
        kernels=tuple(kernel for kernel in kernels if kernel is not None),
    )


def _kernel(row: Document) -> KernelRow | None:
    ops, moved, line = (as_number(row.get(name)) for name in ("ops", "bytes", "waterline"))
    if not ops or not moved or not line:
        return None
    return KernelRow(
        name=as_text(row.get("name")),
        op=as_text(row.get("op")),
        ops=ops,
        num_bytes=moved,
        waterline=line,
        is_memory_bound=row.get("is_memory_bound") is True,
    )


def _peaks(row: Document) -> str:
    try:
        return Peaks.from_json(row).said()
    except (LookupError, TypeError, ValueError, AttributeError, UserError):
        return "what is not known"
