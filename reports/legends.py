"""Lists that say which marker or line is what."""

from collections.abc import Iterable

from reports.axes import SHAPES
from reports.markup import Html, element


def legend(items: Iterable[Html]) -> Html:
    """The whole list."""
    return element("ul", *items, class_="legend")


def marker(shape: str, class_: str, label: str, *, radius: float = 6.0) -> Html:
    """A marker and what it stands for."""
    side = 2 * max(radius, 8.0) + 4
    drawn = element("path", d=SHAPES[shape], transform=f"scale({radius})", class_=class_)
    box = f"{-side / 2} {-side / 2} {side} {side}"
    icon = element("svg", drawn, width=side, height=side, viewBox=box, aria_hidden="true")
    return element("li", icon, label)


def line(class_: str, label: str) -> Html:
    """A line and what it stands for."""
    drawn = element("path", d="M0,7H26", class_=f"curve {class_}")
    icon = element("svg", drawn, width=26, height=14, viewBox="0 0 26 14", aria_hidden="true")
    return element("li", icon, label)
