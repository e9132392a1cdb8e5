"""Does the waterline rank networks as their latency does, and who is far from the peak?

    python benchmarks/waterline.py --networks 24 --family 8 --resolution 32

Random networks of `hybrid` with random weights, in fp32 and in int8, and of two families: convnext
blocks alone (depthwise 7x7 and pointwise products) and basic blocks alone (dense 3x3). All files
are timed together, on one thread, and the machine's peaks with them.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from nas.cli.console import print_table
from nas.executors import make_timer
from nas.latency.measure import export_random
from nas.latency.peaks import is_impossible, write_peak_files
from nas.problem.fix import fixed
from nas.profiling.fused import fused_graph
from nas.profiling.waterline import Waterline, waterline
from nas.run.config import Config
from nas.system.files import make_folder, write_json
from nas.targets import Timing, choose
from search_spaces import SearchSpace, load_space

FAMILIES = {"convnext": "convnext", "basic": "basic"}
PREDICTIONS = ("ideal_ms", "predicted_ms", "fused_ms")


def main() -> None:
    """Print the machine's peaks, rank correlations and efficiencies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--family", type=int, default=8)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--budget", type=float, help="seconds of all timing processes together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for every number, waterline.json")
    given = parser.parse_args()
    chosen = choose(Config.target)
    timer = make_timer(Config(), chosen.text)
    groups: dict[str, list[Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp32", "int8"):
            space = hybrid(given.resolution, precision)
            groups[f"hybrid {precision}"] = exported(space, given.networks, given.seed, folder)
        for name, operator in FAMILIES.items():
            own = fixed(hybrid(given.resolution, "fp32"), [f"*.operator={operator}"])
            groups[name] = exported(own, given.family, given.seed, folder)
        files = [file for group in groups.values() for file in group]
        made = write_peak_files(chosen, Path(folder))
        graphs = [fused_graph(file) for file in files]
        timings = timer([*files, *made.files], processes=5, spares=2, budget_s=given.budget)
    own = made.timings(timings[len(files) :])
    peaks = made.peaks([timing.median_ms for timing in own])
    print(peaks.said())
    lines = [waterline(graph, peaks) for graph in graphs]
    timings = timings[: len(files)]
    ms = np.array([t.median_ms if isinstance(t, Timing) else np.nan for t in timings])
    if given.out is not None:
        numbers = [{"ms": m, **line.to_json()} for m, line in zip(ms.tolist(), lines, strict=True)]
        names = [name for name, group in groups.items() for _ in group]
        document = {"peaks": peaks.to_json(), "of": names, "files": numbers}
        write_json(make_folder(given.out) / "waterline.json", document)
    rows, begun = [], 0
    for name, group in groups.items():
        part = slice(begun, begun + len(group))
        rows.append(row(name, lines[part], ms[part]))
        begun += len(group)
    both = 2 * given.networks
    rows.append(row("hybrid, both formats", lines[:both], ms[:both]))
    head = ("networks", "of them", "ms", "rho: MACs", "ideal", "waterline", "fused")
    print_table([*head, "waterline of ms", "efficiency", "over 1.05"], rows)


def hybrid(resolution: int, precision: str) -> SearchSpace:
    """The space with one format and nothing pruned."""
    space = load_space("hybrid", resolution=resolution, channels=3, num_classes=10)
    return space.with_policy((precision,), (0.0,))


def exported(space: SearchSpace, number: int, seed: int, folder: str) -> list[Path]:
    """Files of random networks of a space."""
    rng = np.random.default_rng(seed)
    files = []
    for row in space.sample(rng, number).tolist():
        file = Path(folder) / f"{len(list(Path(folder).iterdir()))}.onnx"
        export_random(space.slots(space.canonical(row)), file)
        files.append(file)
    return files


def row(name: str, lines: Sequence[Waterline], ms: np.ndarray) -> list[str]:
    """Rank correlations with the latency, and efficiency, of some networks."""
    macs = np.array([sum(b.kernel.macs for b in line.bounds) for line in lines])
    found = {p: np.array([getattr(line, p) for line in lines]) for p in PREDICTIONS}
    e = found["ideal_ms"] / ms
    rhos = [float(spearmanr(values, ms).statistic) for values in (macs, *found.values())]
    ratio = np.median(found["predicted_ms"] / ms)
    return [
        name,
        str(len(ms)),
        f"{ms.min():.3f} to {ms.max():.3f}",
        *(f"{rho:.3f}" for rho in rhos),
        f"{ratio:.2f}",
        f"{np.median(e):.3f} ({e.min():.3f} to {e.max():.3f})",
        str(sum(map(is_impossible, e.tolist()))),
    ]


if __name__ == "__main__":
    main()
