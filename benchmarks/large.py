"""The hybrid space at 224 px with random weights: does 4.5 GFLOPs bind, does int8 pay?

python benchmarks/large.py
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from nas.controllers.random import Random
from nas.latency.measure import export_random
from nas.problem.budget import parse_budget, resolve
from nas.problem.problem import Objective, Problem
from nas.targets import TARGETS, Timing, measure
from search_spaces import load_space

SAMPLED = 10_000
PER_ASK = 1000


def main() -> None:
    """Print the shares, the check of 10,000 candidates and the timings of one of them."""
    space = load_space("hybrid", resolution=224, channels=3, num_classes=1000)
    space = space.with_policy(("fp32", "int8"), (0.0, 0.25, 0.5))
    costs = space.costs
    assert costs is not None
    limits = resolve([parse_budget("4.5GFLOPs")], costs)
    macs = costs.of("macs", space.sample(np.random.default_rng(0), 100_000))
    print(f"largest network {costs.maximum('macs')[0] / 1e9:.2f} GMACs")
    print(f"share of 100,000 uniform candidates within 4.5 GFLOPs: {(macs <= 4.5e9).mean():.4f}")
    problem = Problem(
        space=space, objectives=(Objective("macs", "minimize"),), limits=tuple(limits), model=costs
    )
    started = time.perf_counter()
    asked = [
        c for seed in range(SAMPLED // PER_ASK) for c in Random(seed=seed).ask(problem, [], PER_ASK)
    ]
    seconds = time.perf_counter() - started
    found = costs.of("macs", np.array([candidate.encoding for candidate in asked]))
    print(f"{len(asked)} candidates asked for in {seconds:.1f} s, {(found <= 4.5e9).sum()} within")
    within = space.sample(np.random.default_rng(1), 2000)
    within = within[costs.of("macs", within) <= 4.5e9]
    closest = within[np.argsort(np.abs(costs.of("macs", within) - 3e9))[:3]]
    for encoding in closest:
        time_in_both(space, encoding.tolist())


def time_in_both(space, encoding) -> None:
    """Time one candidate, all fp32 and all int8, and count its integer kernels."""
    precision = [i for i, c in enumerate(space.choices) if c.name.endswith(".precision")]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"]
        for option, file in enumerate(files):
            for column in precision:
                encoding[column] = option
            export_random(space.slots(encoding), file)
        target = TARGETS.get("onnxruntime")()
        fp32, int8 = measure("onnxruntime", files, processes=5, budget_s=60.0)
        assert isinstance(fp32, Timing)
        assert isinstance(int8, Timing)
        candidate = space.candidate(encoding)
        macs = space.costs.of("macs", np.array([encoding]))[0] / 1e9
        operators = [v for n, v in candidate.arch.items() if n.endswith(".operator")]
        print(f"candidate {candidate.key}: {macs:.2f} GMACs, {' '.join(map(str, operators))}")
        print(f"  integer kernels in the int8 file: {target.integer_kernels(files[1])}")
        print(f"  fp32 {fp32.median_ms:.1f} ms {fp32.interval_ms}, {files[0].stat().st_size} bytes")
        print(f"  int8 {int8.median_ms:.1f} ms {int8.interval_ms}, {files[1].stat().st_size} bytes")
        print(f"  ratio {fp32.median_ms / int8.median_ms:.2f}")


if __name__ == "__main__":
    main()
