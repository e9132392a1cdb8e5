"""HTML that is escaped by construction: a plain `str` is text, only `Html` is markup."""

import html
from collections.abc import Sequence
from typing import Any

VOID = {"br", "img", "meta"}


class Html(str):
    """Markup that needs no escaping; made by `element`, `join` and by nothing else."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Any value as escaped text; markup passes through unchanged."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(*parts: object) -> Html:
    """Markup and text one after the other; `None` adds nothing."""
    return Html("".join(escaped(part) for part in parts if part is not None))


def element(tag: str, *children: object, **attributes: Any) -> Html:
    """One element.

    Args:
        tag: A name from our own code.
        *children: Text (escaped), markup, or None for nothing.
        **attributes: `class_` becomes `class`, `data_label` becomes `data-label`; None and False
            leave the attribute out.
    """
    pairs = [
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    ]
    opening = f"<{tag}{''.join(pairs)}>"
    return Html(opening if tag in VOID else f"{opening}{join(*children)}</{tag}>")


def section(title: str, *children: object) -> Html:
    """One titled part of the page."""
    return element("section", element("h2", title), *children)


def numbers(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table of numbers; the first cell of a row is its name."""
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [
        element(
            "tr",
            element("th", name, scope="row"),
            *(element("td", cell, class_="number") for cell in cells),
        )
        for name, *cells in rows
    ]
    return element("table", element("thead", head), element("tbody", *body), class_="comparison")
