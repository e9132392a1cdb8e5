"""A network that was brought as a drawing: its parts from left to right, a column each.

What is filled of a column is what is left of the channels and heads that the part makes; a bold
frame says that it is quantized. Parts have the names of the user's modules.
"""

from collections.abc import Sequence

from reports import text
from reports.markup import Html, element
from reports.records import Member

WIDTH, GAP, TALLEST = 22, 6, 84  # pixels
LETTER = 6.6
LONGEST = 20
LARGE = 14
"""Parts that need the width of the page."""

RULES = (
    "A column for each part that was not left out, in the order in which data flows. Filled: what "
    "is left of the channels and heads that it makes. Bold frame: quantized."
)


def parts_of(member: Member) -> list[text.StageText]:
    """The parts; none of a network whose architecture was searched."""
    return [stage for stage in text.stages(member.arch, member.policy) if stage.is_part]


def picture(member: Member, parts: Sequence[text.StageText]) -> Html:
    """The drawing, at its natural size."""
    longest = max(len(_shown(part.name)) for part in parts)
    width, height = len(parts) * (WIDTH + GAP) + GAP, TALLEST + round(12 + LETTER * longest)
    drawn = element(
        "svg",
        *(_column(part, GAP + i * (WIDTH + GAP)) for i, part in enumerate(parts)),
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label="; ".join(part.line for part in parts),
    )
    name = f"Picture of {member.key}"
    return element("div", drawn, class_="picture", tabindex=0, role="group", aria_label=name)


def _column(part: text.StageText, x: int) -> Html:
    kept = round((TALLEST - 4) * (1 - part.removed), 1)
    frame = {"x": x, "y": 2, "width": WIDTH, "height": TALLEST - 4, "rx": 3}
    filled = {"x": x, "y": round(TALLEST - 2 - kept, 1), "width": WIDTH, "height": kept, "rx": 3}
    tone = "stage-box low" if part.is_quantized else "outline"
    middle = x + WIDTH / 2 + 4
    return element(
        "g",
        element("title", part.line),
        element("rect", **filled, class_="kept op0"),
        element("rect", **frame, class_=tone),
        element(
            "text",
            _shown(part.name),
            x=middle,
            y=TALLEST + 6,
            transform=f"rotate(-90 {middle} {TALLEST + 6})",
            class_="part-name low" if part.is_quantized else "part-name",
        ),
    )


def _shown(name: str) -> str:
    """The end of a long name, which tells parts apart."""
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"
