"""A network as a drawing: stages from left to right, one box per block.

A box is as high as its stage is wide (channels); the part that sparsity removed is empty. Colour
and letter say which operator it is, the pattern how it mixes positions, a bold frame that the
stage is quantized. Everything drawn is also said in words beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports import operators, text
from reports.markup import Html, element, join
from reports.records import Member
from search_spaces import Resolution, UserError, pyramid, resolution_of, written_sides

BLOCK, GAP, PAD = 28, 4, 8  # pixels
CAPTION, TALLEST, SHORTEST = 52, 92, 28
STAGE_LEAST, END, ARROW = 96, 30, 14
BASE = 8
LARGE = 400  # stages together
HEIGHT = CAPTION + TALLEST + 2 * BASE + 2
MIDDLE = CAPTION + BASE + TALLEST / 2
PATTERNS = {  # path of one tile of 8 x 8 pixels
    "attention": "M-2,2L2,-2M0,8L8,0M6,10L10,6",
    "mixer": "M0,4H8",
    operators.MIXED: "M0,4H8M4,0V8",
}


@dataclass(frozen=True, kw_only=True)
class Ink:
    """How the operators of one report are drawn."""

    letters: Mapping[str, str]
    colours: Mapping[str, str]
    widest: float  # channels of the widest stage of any network

    @staticmethod
    def of(members: Sequence[Member]) -> "Ink":
        """The same for all members, so that pictures can be compared."""
        stages = [s for m in members for s in text.stages(m.arch, m.policy)]
        names = sorted({name for stage in stages for name, _ in stage.blocks if name})
        return Ink(
            letters=operators.letters(names),
            colours=operators.colours(names),
            widest=max((s.width for s in stages if s.width is not None), default=1.0),
        )

    def pattern(self, operator: str) -> str | None:
        """The pattern's id; convolutions and what is not declared have none."""
        found = operators.families(operator)
        name = operators.MIXED if len(found) > 1 else next(iter(found), "")
        return f"pattern-{name}" if name in PATTERNS else None


def patterns() -> Html:
    """Definitions that all pictures of the page refer to."""
    tiles = [
        element(
            "pattern",
            element("path", d=d, class_="tile-line"),
            id=f"pattern-{name}",
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )
        for name, d in PATTERNS.items()
    ]
    return element("svg", element("defs", *tiles), width=0, height=0, class_="defs")


def legend(ink: Ink) -> Html:
    """Every operator with its box, then what shapes mean."""
    items = [element("li", _swatch(ink, name), _explained(name)) for name in ink.letters]
    rules = "Height: width of the stage. Empty part: removed by sparsity. Bold frame: quantized."
    return join(
        element("ul", *items, class_="legend operators"),
        element("p", rules, class_="note"),
    )


def _explained(operator: str) -> Html:
    """ "window (attention): Window attention with a relative position bias."."""
    said = operators.meaning(operator)
    name = join(element("b", operator), f" ({_families(operator)})")
    return element("span", name, f": {said}" if said else None)


def _families(operator: str) -> str:
    return " and ".join(operators.families(operator)) or "not declared"


def _swatch(ink: Ink, operator: str) -> Html:
    box = _box(ink, operator, x=0, y=0, height=22, width=22)
    return element("svg", *box, width=22, height=22, viewBox="0 0 22 22", aria_hidden="true")


def is_large(member: Member) -> bool:
    """Whether the drawing needs the width of the page."""
    return sum(map(_stage_width, _drawn_stages(member))) > LARGE


def picture(member: Member, ink: Ink) -> Html:
    """The drawing of one network, at its natural size."""
    stages = _drawn_stages(member)
    sizes: list[Resolution | None] = [None] * len(stages)
    if all(stage.name.startswith("stage") for stage in stages):
        sizes = map_sizes(member, len(stages))  # a cell stands on several maps
    x = END + ARROW
    parts = [_end("stem", 0.0)]
    for stage, size in zip(stages, sizes, strict=True):
        parts += [_arrow(x - ARROW), _stage(stage, size, ink, x)]
        x += _stage_width(stage) + ARROW
    parts += [_arrow(x - ARROW), _end("head", x)]
    width = x + END
    drawn = element(
        "svg",
        *parts,
        width=width,
        height=HEIGHT,
        viewBox=f"0 0 {width} {HEIGHT}",
        role="img",
        aria_label="; ".join(text.network(member.arch, member.policy)),
    )
    name = f"Picture of {member.key}"
    return element("div", drawn, class_="picture", tabindex=0, role="group", aria_label=name)


def _drawn_stages(member: Member) -> list[text.StageText]:
    return [stage for stage in text.stages(member.arch, member.policy) if stage.blocks]


def map_sizes(member: Member, num_stages: int) -> list[Resolution | None]:
    """Size of each stage's map in pixels; None where the input's shape does not tell."""
    shape = member.input.get("shape")
    try:
        stride = int(member.arch.get("stem.stride", 0))
        size = resolution_of(shape[-2:] if isinstance(shape, list) else None)
        sizes = pyramid(size, stride).sizes
    except UserError:
        sizes = ()
    return [*map(written_sides, sizes)] if len(sizes) == num_stages else [None] * num_stages


def _stage_width(stage: text.StageText) -> int:
    blocks = len(stage.blocks) * (BLOCK + GAP) - GAP
    return max(STAGE_LEAST, blocks + 2 * PAD)


def _stage(stage: text.StageText, size: Resolution | None, ink: Ink, x: int) -> Html:
    width = _stage_width(stage)
    tone = "stage-box low" if stage.is_quantized else "stage-box"
    channels = "" if stage.width is None else f"width {stage.width:g}"
    removed = f"−{100 * stage.removed:.0f} %" if stage.removed else ""
    captions = [
        f"{stage.name} · {size} px" if size else stage.name,
        channels,
        " ".join(filter(None, (stage.precision, removed))),
    ]
    classes = ("caption caption0", "caption", tone.replace("stage-box", "caption"))
    lines = [
        element("text", line, x=x + width / 2, y=14 + 15 * i, class_=classes[i])
        for i, line in enumerate(captions)
    ]
    share = min(1.0, (stage.width or ink.widest) / ink.widest)
    height = SHORTEST + (TALLEST - SHORTEST) * share
    start = x + (width - len(stage.blocks) * (BLOCK + GAP) + GAP) / 2
    boxes = [
        element(
            "g",
            element("title", f"{operator} {options}".strip()),
            *_box(
                ink,
                operator,
                x=start + i * (BLOCK + GAP),
                y=MIDDLE - height / 2,
                height=height,
                removed=stage.removed,
            ),
        )
        for i, (operator, options) in enumerate(stage.blocks)
    ]
    frame = element(
        "rect", x=x, y=CAPTION, width=width, height=TALLEST + 2 * BASE, rx=8, class_=tone
    )
    return element("g", frame, *lines, *boxes)


def _box(
    ink: Ink,
    operator: str,
    *,
    x: float,
    y: float,
    height: float,
    width: float = BLOCK,
    removed: float = 0.0,
) -> list[Html]:
    """One block: outline, the part that is kept, its pattern, its letter."""
    kept = round(height * (1 - removed), 1)
    inside = {"x": x, "y": round(y + height - kept, 1), "width": width, "height": kept, "rx": 4}
    outline = {"x": x, "y": round(y, 1), "width": width, "height": round(height, 1), "rx": 4}
    colour = ink.colours.get(operator, "")
    pattern = ink.pattern(operator)
    middle = round(y + height - kept / 2, 1)
    return [
        element("rect", **outline, class_="outline"),
        element("rect", **inside, class_=f"kept {colour}"),
        *([element("rect", **inside, fill=f"url(#{pattern})")] if pattern else []),
        element("circle", cx=x + width / 2, cy=middle, r=min(9, kept / 2), class_=f"kept {colour}"),
        element(
            "text", ink.letters.get(operator, "?"), x=x + width / 2, y=middle + 4.5, class_="letter"
        ),
    ]


def _end(name: str, x: float) -> Html:
    """The stem or the head."""
    rect = {"x": x, "y": MIDDLE - 22, "width": END, "height": 44, "rx": 6, "class_": "stage-box"}
    label = element("text", name, x=x + END / 2, y=MIDDLE + 4, class_="caption")
    return element("g", element("rect", **rect), label)


def _arrow(x: float) -> Html:
    return element("path", d=f"M{x + 2},{MIDDLE}h{ARROW - 4}", class_="flow")
