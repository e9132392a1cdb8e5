"""Is a space of all operators worth it? Fronts of `hybrid` against its parts at equal total time.

    python benchmarks/spaces.py --data fashion-mnist --time 4m --out DIR

One `nas search` per space and seed, one after the other, spaces interleaved; the same command
continues. Hypervolume of each measured front: the share of the box up to guessing and the slowest
member of that seed's four fronts (as `nas report A B` prints it).
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from reports.comparison import best_score, compare, hypervolume

SPACES = ("hybrid", "mobile", "vit", "mixer")


def main() -> None:
    """Prints hypervolumes by seed and their mean and standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--budget", default="20MFLOPs")
    parser.add_argument("--time", default="4m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    name = Path(arguments.data).name
    volumes: dict[str, list[float]] = {space: [] for space in SPACES}
    for seed in range(arguments.seeds):
        runs = [arguments.out / f"{name}-{space}-{seed}" for space in SPACES]
        for space, run in zip(SPACES, runs, strict=True):
            search(arguments, space, seed, run)
        comparison = compare(runs)
        print(f"seed {seed}, {comparison.reference.words}")
        for space, found, tables in zip(
            SPACES, hypervolume(comparison), comparison.runs, strict=True
        ):
            volumes[space].append(found or 0.0)
            best = best_score(tables, float("inf")) or 0.0
            print(
                f"  {space:7} {100 * volumes[space][-1]:.2f} %, {len(tables.front)} members, "
                f"best {best:.1%}",
                flush=True,
            )
    for space, found in volumes.items():
        spread = statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else 0.0
        print(f"{space:7} {100 * statistics.mean(found):.2f} +- {100 * spread:.2f} %")


def search(arguments: argparse.Namespace, space: str, seed: int, run: Path) -> None:
    """One search to its end; nothing to do if it is finished."""
    if (run / "report" / "report.html").exists():
        return
    line = [
        sys.executable,
        "-c",
        "from nas.cli.app import main; main()",
        "search",
        "--space",
        space,
    ]
    line += ["--data", arguments.data, "--budget", arguments.budget, "--time", arguments.time]
    line += ["--seed", str(seed), "--resolution", str(arguments.resolution), "--out", str(run)]
    line += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
    subprocess.run(line, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
