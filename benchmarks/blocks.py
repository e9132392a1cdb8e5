"""From which share of zero blocks on is a product that skips them faster than a dense one?

    python benchmarks/blocks.py --tokens 65,197 --width 384

A linear layer from `--width` values to four times as many, for each position of one image, on one
thread, with blocks drawn at random. Both ways skip: torch's own product of a matrix in blocks
(`bsr`), and one dense product per row of blocks with the inputs that it reads (`rows`). Medians
of interleaved rounds.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from nas.cli.console import print_table
from nas.system.text import words

SPARSITIES = (0.0, 0.25, 0.5, 0.625, 0.75, 0.875)
TIMES_WIDER = 4
ROUNDS, REPEATS = 15, 5


def sparse(width: int, side: int, sparsity: float) -> Tensor:
    """A matrix (4 * width, width) of which blocks are zero."""
    rows, columns = TIMES_WIDER * width // side, width // side
    gone = torch.randperm(rows * columns)[: round(sparsity * rows * columns)]
    remains = torch.ones(rows * columns).index_fill_(0, gone, 0.0).reshape(rows, columns)
    mask = remains.repeat_interleave(side, 0).repeat_interleave(side, 1)
    return torch.randn(TIMES_WIDER * width, width) * mask


def by_rows(weight: Tensor, side: int) -> Callable[[Tensor], Tensor]:
    """A product per row of blocks, of inputs (width, T)."""
    parts = []
    for row in weight.split(side):
        remains = row.unflatten(1, (-1, side)).abs().sum((0, 2)) > 0
        inputs = remains.repeat_interleave(side).nonzero().flatten()
        parts.append((row[:, inputs].contiguous(), inputs))

    def product(x: Tensor) -> Tensor:
        out = x.new_empty(len(weight), x.shape[1])
        for (part, inputs), rows in zip(parts, out.split(side), strict=True):
            torch.mm(part, x.index_select(0, inputs), out=rows)
        return out

    return product


def medians_us(ways: list[Callable[[Tensor], Tensor]], x: Tensor) -> list[float]:
    """Microseconds of each way, measured in turn."""
    took: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for place, way in enumerate(ways):
            way(x)
            started = time.perf_counter()
            for _ in range(REPEATS):
                way(x)
            took[place].append((time.perf_counter() - started) / REPEATS)
    return [1e6 * median(of_way) for of_way in took]


def main() -> None:
    """Prints a row per shape, size of blocks and share of zero ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=words, default=("65", "197"))
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--sides", type=words, default=("32", "64"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for tokens in map(int, asked.tokens):
        x = torch.randn(asked.width, tokens)
        for side in map(int, asked.sides):
            for sparsity in SPARSITIES:
                weight = sparse(asked.width, side, sparsity)
                in_blocks, product = weight.to_sparse_bsr(side), by_rows(weight, side)
                assert torch.allclose(product(x), weight @ x, atol=1e-3)
                ways = [lambda x, w=weight: w @ x, lambda x, w=in_blocks: w @ x, product]
                dense, bsr, own = medians_us(ways, x)
                ratios = [f"{dense / other:.2f}" for other in (bsr, own)]
                rows.append([str(tokens), str(side), f"{sparsity:.1%}", f"{dense:.0f}", *ratios])
    print_table(["positions", "block", "zero", "dense, us", "bsr, x", "rows, x"], rows)


if __name__ == "__main__":
    with torch.no_grad():
        main()
