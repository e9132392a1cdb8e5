"""A block as an SVG: a box per part, from the top to the bottom, and arrows to what reads it.

Everything has the colour of the text around it, so that a page may be dark or light. An arrow that
passes boxes runs beside them.
"""

from collections.abc import Sequence
from html import escape

from nas.inspect.flows import Part

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, PAD = 216, 40, 16, 22, 8
LANE = 12
"""Pixels between two arrows beside boxes."""

LETTERS = 34
"""That fit into a box."""

STYLE = "fill:none;stroke:currentColor;stroke-width:1.2"
MARKER = (
    '<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0,0L8,4L0,8Z" style="fill:currentColor"/></marker>'
)


def drawing(parts: Sequence[Part], title: str, *, is_alone: bool = False) -> str:
    """An SVG element.

    Args:
        parts: As `flow_of` gives them.
        title: What it is of, for those who do not see it.
        is_alone: Whether it is a file, and no element of a page.
    """
    rows = _rows(parts)
    widest = max(len(row) for row in rows)
    inner = widest * BOX_WIDTH + (widest - 1) * GAP_X
    corners = _corners(rows, inner)
    passing = [
        (one, part)
        for part, own in enumerate(parts)
        for one in own.reads
        if _row_of(rows, part) - _row_of(rows, one) > 1
    ]
    marker = "arrow-" + "".join(letter for letter in title if letter.isalnum())
    shapes = [MARKER.format(name=marker)]
    for part, own in enumerate(parts):
        for one in own.reads:
            lane = passing.index((one, part)) + 1 if (one, part) in passing else 0
            path = _arrow(corners[one], corners[part], inner, lane)
            shapes.append(f'<path d="{path}" style="{STYLE}" marker-end="url(#{marker})"/>')
    shapes += [_box(part, *corners[number]) for number, part in enumerate(parts)]
    width = inner + 2 * PAD + LANE * (len(passing) + 1)
    height = len(rows) * (BOX_HEIGHT + GAP_Y) - GAP_Y + 2 * PAD
    namespace = ' xmlns="http://www.w3.org/2000/svg"' if is_alone else ""
    return (
        f'<svg{namespace} viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" style="max-width:100%;height:auto;font:12px sans-serif">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg>"
    )


def _rows(parts: Sequence[Part]) -> list[list[int]]:
    """Numbers of parts side by side: each below all that feed it."""
    depth: list[int] = []
    for part in parts:
        depth.append(1 + max((depth[one] for one in part.reads), default=-1))
    return [
        [number for number, own in enumerate(depth) if own == row] for row in range(max(depth) + 1)
    ]


def _row_of(rows: Sequence[Sequence[int]], part: int) -> int:
    return next(number for number, row in enumerate(rows) if part in row)


def _corners(rows: Sequence[Sequence[int]], inner: int) -> dict[int, tuple[float, float]]:
    """Left and top of every box; rows are centred."""
    corners: dict[int, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        taken = len(row) * BOX_WIDTH + (len(row) - 1) * GAP_X
        for place, part in enumerate(row):
            left = PAD + (inner - taken) / 2 + place * (BOX_WIDTH + GAP_X)
            corners[part] = (left, PAD + number * (BOX_HEIGHT + GAP_Y))
    return corners


def _arrow(begin: tuple[float, float], end: tuple[float, float], inner: int, lane: int) -> str:
    """From below one box to above another; in a lane on the right of all boxes if there is one."""
    from_x, from_y = begin[0] + BOX_WIDTH / 2, begin[1] + BOX_HEIGHT
    to_x, to_y = end[0] + BOX_WIDTH / 2, end[1]
    if not lane:
        return f"M{from_x:g},{from_y:g}L{to_x:g},{to_y:g}"
    beside, out_y, in_y = PAD + inner + lane * LANE, from_y + GAP_Y / 3, to_y - 2 * GAP_Y / 3
    return (
        f"M{from_x:g},{from_y:g}V{out_y:g}H{beside:g}V{in_y:g}H{to_x + 10:g}L{to_x + 10:g},{to_y:g}"
    )


def _box(part: Part, left: float, top: float) -> str:
    middle, lines = left + BOX_WIDTH / 2, [part.title, part.text]
    heights = [top + 17, top + 32] if part.text else [top + 25]
    texts = [
        f'<text x="{middle:g}" y="{y:g}" style="fill:currentColor;text-anchor:middle;{bold}">'
        f"{escape(_short(line))}</text>"
        for line, y, bold in zip(lines, heights, ("font-weight:600", ""), strict=False)
    ]
    box = (
        f'<rect x="{left:g}" y="{top:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4" '
        f'style="fill:none;stroke:currentColor"/>'
    )
    return f"<g>{box}{''.join(texts)}</g>"


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else text[: LETTERS - 3].rstrip(" ,") + "..."
