"""Latency of one block of every operator, as deployed and, if that is another module, as trained.

    PYTHONPATH=. python benchmarks/operator_blocks.py --width 96 --side 28 --seconds 60
    PYTHONPATH=. python benchmarks/operator_blocks.py --operators unireplk:kernel_size=13,dcls

In interleaved rounds of fresh processes, fp32. Of attention in blocks the last column says how many
times fewer pairs of positions than of global attention are computed by a kernel that takes them in
tiles of 4x4, at most, of how many times fewer there are.

What operators learn, and latency of whole networks,
is compared by `nas bench operators`.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from torch import nn

from compress.export import export_onnx
from nas.bench.entrants import Ends, block_of, entrants_of
from nas.cli.console import print_table
from nas.system.text import words
from nas.targets import Timing, measure
from search_spaces import Signature, declaration, signature_cost
from search_spaces._blocked import tiled_speedup
from search_spaces.operators._blocked import AbstractBlockedAttention
from supernets._merged import AbstractMerged
from supernets.fold import folded
from supernets.network import plain_module

PROCESSES = 5
TILE = 4, 4
"""Queries or keys that a kernel takes at once."""

ENDS = Ends(resolution=32, channels=3, num_classes=10)


def main() -> None:
    """Print a row per operator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operators", type=words, default=(), help="with options; all by default")
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--seconds", type=float, default=60.0, help="of timing")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    entrants = entrants_of(asked.operators, ENDS)
    files: dict[tuple[str, str], Path] = {}
    blocks = {
        entrant: block_of(entrant.operator, entrant.options, width=asked.width, side=asked.side)
        for entrant in entrants
    }
    with tempfile.TemporaryDirectory() as folder:
        for number, entrant in enumerate(entrants):
            trained = plain_module(blocks[entrant]).eval()
            forms: dict[str, nn.Module] = {"deployed": folded(trained)}
            if any(isinstance(part, AbstractMerged) for part in trained.modules()):
                forms["trained"] = trained
            for form, network in forms.items():
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
    rows = []
    for entrant in entrants:
        cost = signature_cost(blocks[entrant])
        costs = [f"{cost.macs / 1e6:.2f}", f"{cost.params / 1e3:.1f}"]
        times = [found.get((entrant.name, form), "") for form in ("deployed", "trained")]
        pairs = fewer_pairs(blocks[entrant])
        rows.append([entrant.name, *costs, *times, pairs])
    header = ["operator", "MMACs", "1000 parameters", "ms deployed", "ms as trained", "tiled, x"]
    print_table(header, rows)


def fewer_pairs(signature: Signature) -> str:
    """The bound on what tiles gain, of what there would be to gain."""
    rule = declaration(signature.operator)
    if not isinstance(rule, AbstractBlockedAttention):
        return ""
    rows, columns = rule.blocked(signature.pick, signature.shape.size)
    bounds = (tiled_speedup(rows, columns, tile, tile) for tile in (TILE, (1, 1)))
    return " of ".join(f"{bound:.1f}" for bound in bounds)


if __name__ == "__main__":
    main()
