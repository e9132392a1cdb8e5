"""Latency of operators that are deployed as another module than is trained: both forms of a block.

    PYTHONPATH=. python benchmarks/merged.py --width 96 --side 28 --seconds 60
    PYTHONPATH=. python benchmarks/merged.py --operators unireplk:kernel_size=13,dcls

In interleaved rounds of fresh processes, fp32. What operators learn is compared by
`nas bench operators`.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from compress.export import export_onnx
from nas.bench.entrants import Ends, Entrant, entrants_of
from nas.cli.console import print_table
from nas.system.text import words
from nas.targets import Timing, measure
from search_spaces import FULL_PRECISION, Options, Shape, Signature, declaration
from supernets._merged import AbstractMerged
from supernets.fold import folded
from supernets.network import plain_module

PROCESSES = 5
ENDS = Ends(resolution=32, channels=3, num_classes=10)


def main() -> None:
    """Print a row per operator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operators", type=words, default=(), help="all that are merged")
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    files: dict[tuple[str, str], Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, entrant in enumerate(entrants_of(asked.operators, ENDS)):
            trained = plain_module(block(entrant, asked.width, asked.side)).eval()
            if not any(isinstance(part, AbstractMerged) for part in trained.modules()):
                continue
            for form, network in (("deployed", folded(trained)), ("trained", trained)):
                files[entrant.name, form] = Path(folder, f"{number}{form}.onnx")
                shape = (asked.width, asked.side, asked.side)
                export_onnx(network, files[entrant.name, form], shape=shape)
        timings = measure(
            "onnxruntime", [*files.values()], processes=PROCESSES, budget_s=asked.seconds
        )
    found = {
        key: f"{timing.median_ms:.3f}" if isinstance(timing, Timing) else "-"
        for key, timing in zip(files, timings, strict=True)
    }
    names = dict.fromkeys(name for name, _ in files)
    rows = [[name, found[name, "deployed"], found[name, "trained"]] for name in names]
    print_table(["operator", "ms deployed", "ms as trained"], rows)


def block(entrant: Entrant, width: int, side: int) -> Signature:
    """One block, in fp32."""
    rule, shape = declaration(entrant.operator), Shape.square(side, side, width, width)
    pick = rule.normalise(Options({**rule.defaults, **entrant.options}), shape)
    kept = Options({name: group.size for name, group in rule.groups(pick, shape).items()})
    return Signature(entrant.operator, shape, pick, kept, FULL_PRECISION)


if __name__ == "__main__":
    main()
