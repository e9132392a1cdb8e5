"""A waterline as a drawing: kernels as bars, and the line below which the peak bounds them.

Both axes are of operations: multiply-adds, and one per number that is written where there are none.
Heights are logarithmic, because kernels that only move data have hundreds of times the bytes per
operation of a convolution.
"""

import math

from reports import text
from reports.markup import Html, element
from reports.records import FileEfficiency, KernelRow

WIDTH, HEIGHT = 860, 240
LEFT, BOTTOM, TOP = 48, 34, 10
THINNEST = 1.0
"""Pixels of a bar, so that kernels of few operations are seen, too."""


def picture(found: FileEfficiency) -> Html:
    """The drawing, at its natural size."""
    kernels = found.kernels
    low, high = _range(kernels)
    total = sum(kernel.ops for kernel in kernels)
    room = WIDTH - LEFT - THINNEST * len(kernels)

    def y(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    x, bars, line = float(LEFT), [], ""
    for kernel in kernels:
        width = THINNEST + room * kernel.ops / total
        bars.append(_bar(kernel, x, width, y(kernel.num_bytes / kernel.ops)))
        line += f"{'L' if line else 'M'}{x:.1f},{y(kernel.waterline)}H{x + width:.1f}"
        x += width
    drawn = element(
        "svg",
        *(_tick(power, y(10.0**power)) for power in range(math.ceil(low), math.floor(high) + 1)),
        *bars,
        element("path", d=line, class_="water"),
        element("text", "operations →", x=LEFT, y=HEIGHT - 8, class_="axis"),
        element("text", f"{text.count(total)} in all", x=WIDTH, y=HEIGHT - 8, class_="axis end"),
        element("text", "bytes per operation ↑", x=LEFT + 6, y=TOP + 4, class_="axis"),
        width=WIDTH,
        height=HEIGHT,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"Waterline of {found.key}: {_said(kernels)}",
    )
    name = f"Waterline of {found.key}"
    return element("div", drawn, class_="waterline", tabindex=0, role="group", aria_label=name)


def _range(kernels: tuple[KernelRow, ...]) -> tuple[float, float]:
    """Powers of ten between which all heights and lines are, with some room."""
    values = [v for k in kernels for v in (k.num_bytes / k.ops, k.waterline)]
    return math.log10(min(values)) - 0.15, math.log10(max(values)) + 0.15


def _bar(kernel: KernelRow, x: float, width: float, top: float) -> Html:
    per = text.significant(kernel.num_bytes / kernel.ops, 2)
    side = "above" if kernel.is_memory_bound else "below"
    return element(
        "rect",
        element("title", f"{kernel.op} {kernel.name}: {per} bytes per operation, {side} the line"),
        x=round(x, 1),
        y=top,
        width=round(width, 1),
        height=round(HEIGHT - BOTTOM - top, 1),
        class_="bound memory" if kernel.is_memory_bound else "bound",
    )


def _tick(power: int, y: float) -> Html:
    label = f"{10.0**power:g}"
    return element(
        "g",
        element("line", x1=LEFT, x2=WIDTH, y1=y, y2=y, class_="grid"),
        element("text", label, x=LEFT - 6, y=y + 4, class_="axis end"),
    )


def _said(kernels: tuple[KernelRow, ...]) -> str:
    bound = sum(kernel.is_memory_bound for kernel in kernels)
    return f"{bound} of {len(kernels)} kernels wait for memory"
