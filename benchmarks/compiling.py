"""What compiling the steps of a network's own training takes, and what it gains.

    python benchmarks/compiling.py --out compiling.md

A row per operator, precision and state of torch's cache: a network of `--macs` multiply-adds of
`hybrid` at 32 px with that operator alone, batches of `--batch` images, on one thread. The last
column is after how many steps compiling has paid. The cache is a new folder, and full in the second
row of each pair.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nas.prepare.placed import precisions_here
from nas.standalone.compiling import Compiling, timed
from nas.standalone.train import fresh_network
from nas.system.environment import environment
from search_spaces import Candidate, SearchSpace, load_space
from supernets.compiled import lacking
from supernets.device import CPU, about, chosen_device, is_cpu
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan

SIDE, CLASSES, NUM_IMAGES, SAMPLES = 32, 10, 1024, 400


def network_of(operator: str, macs: float) -> tuple[SearchSpace, Candidate]:
    """A space of the operator alone, and its network of about so many multiply-adds."""
    space = load_space("hybrid", resolution=SIDE, channels=3, num_classes=CLASSES)
    space = space.with_policy(("fp32",), (0.0,))
    named = [choice.name for choice in space.choices if choice.name.endswith(".operator")]
    own = space.restricted({name: (operator,) for name in named})
    rows = own.sample(np.random.default_rng(0), SAMPLES)
    assert own.costs is not None
    nearest = np.abs(own.costs.of("macs", rows) - macs).argmin()
    return own, own.candidate(rows[nearest].tolist())


def images() -> Images:
    """Noise, which takes as long as photos."""
    rng = torch.Generator().manual_seed(0)
    return Images(
        images_NCHW=torch.randint(
            0, 256, (NUM_IMAGES, 3, SIDE, SIDE), dtype=torch.uint8, generator=rng
        ),
        labels_N=torch.arange(NUM_IMAGES) % CLASSES,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        can_flip=True,
        crop_padding=4,
    )


def rows(operator: str, macs: float, plan: TrainPlan) -> Iterator[str]:
    """With an empty cache and with a full one."""
    space, candidate = network_of(operator, macs)
    network: PlainNetwork = fresh_network(space, candidate, 0)
    assert space.costs is not None
    found_macs = space.costs.of("macs", np.array([candidate.encoding]))[0]
    for cache in ("empty", "full"):
        torch._dynamo.reset()
        found = timed(network, images(), plan)
        what = f"`{operator}`, {found_macs / 1e6:.1f} MMACs | {plan.precision} | {cache}"
        yield f"| {what} | {in_words(found)} |"


def in_words(found: Compiling | None) -> str:
    """Seconds to compile, steps per second of both, and the steps that pay for it."""
    if found is None:
        return "cannot be compiled | | | "
    gain_s = found.plain_s - found.compiled_s
    pays = f"{found.compile_s / gain_s:,.0f}" if found.is_faster else "never"
    return f"{found.compile_s:.1f} | {1 / found.plain_s:.2f} | {1 / found.compiled_s:.2f} | {pays}"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default=CPU)
    parser.add_argument("--operators", default="basic,convnext,window")
    parser.add_argument("--macs", type=float, default=5e6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    device = chosen_device(given.device)
    if what := lacking(device):
        parser.error(f"compiling needs {what}")
    facts = environment()
    where = facts["cpu"] if is_cpu(device) else f"{about(device)}, beside {facts['cpu']}"
    lines = [
        f"{where}; torch {torch.__version__}; one thread, batches of {given.batch}\n",
        "| network | precision | cache | s to compile | steps/s | compiled | pays after steps |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    plan = TrainPlan(
        steps=1000, shards=1, batch_size=given.batch, channels_last=True, device=device
    )
    for precision in precisions_here(device):
        for operator in given.operators.split(","):
            with tempfile.TemporaryDirectory() as folder:
                os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
                for line in rows(operator, given.macs, replace(plan, precision=precision)):
                    print(line, flush=True)
                    lines.append(line)
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
