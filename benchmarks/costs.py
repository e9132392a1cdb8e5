"""How fast candidates are costed and the command line starts.

python benchmarks/costs.py
"""

import statistics
import subprocess
import sys
import time

import numpy as np

from search_spaces import load_space


def main() -> None:
    """Print medians of five."""
    for resolution in (32, 224):
        space = load_space("hybrid", resolution=resolution, channels=3, num_classes=100)
        space = space.with_policy(("fp32", "int8"), (0.0, 0.25, 0.5))
        started = time.perf_counter()
        costs = space.costs
        assert costs is not None
        built = time.perf_counter() - started
        encodings = space.sample(np.random.default_rng(0), 100_000)
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            for metric in costs.metrics:
                costs.of(metric, encodings)
            seconds.append(time.perf_counter() - started)
        print(
            f"{resolution} px: tables {built:.2f} s, 100,000 candidates x {len(costs.metrics)} "
            f"metrics {statistics.median(seconds):.3f} s"
        )
    command = [sys.executable, "-c", "from nas.cli.app import main; main(['--help'])"]
    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    print(f"nas --help: {statistics.median(seconds):.3f} s")


if __name__ == "__main__":
    main()
