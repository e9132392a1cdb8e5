"""Classes of pixels on the page: intersection over union of all pixels of a split, by class."""

from collections.abc import Sequence

from reports import text
from reports.axes import Json
from reports.markup import Html, element, numbers, section
from reports.records import Member, PixelQuality, RunTables

SHOWN = 50
"""Classes of the table, at most."""

NOTE = (
    "Of the deployed files, on test: pixels of all images together, where the metric above is the "
    "mean over images. Intersection over union: pixels that are of a class and called it, by those "
    "that are of it or called it. Ignored pixels are left out."
)


def pixels(run: RunTables, plots: Json) -> Html | None:
    """How well each class is found by the networks of the front; None where no card says it."""
    known = [(m, found) for m in run.front if (found := m.deployed.test.pixels) is not None]
    if not known:
        return None
    head = ("Class, %", *(member.key for member, _ in known))
    table = numbers(head, _rows(known))
    return section(
        "Classes of pixels",
        element("p", NOTE, class_="note"),
        element(
            "div",
            table,
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label="Intersection over union of each class",
        ),
    )


def _rows(known: Sequence[tuple[Member, PixelQuality]]) -> list[list[str]]:
    """Pixels that are right, the mean of classes, then classes: the worst of the first network
    first.
    """
    first, quality = known[0]
    order = sorted(
        (n for n, iou in enumerate(quality.ious) if iou is not None),
        key=lambda n: quality.ious[n] or 0.0,
    )
    rows = [
        ["pixels right", *(text.percent(found.fraction) for _, found in known)],
        ["mean of classes", *(text.percent(found.mean_iou) for _, found in known)],
    ]
    for number in order[:SHOWN]:
        name = first.classes[number] if number < len(first.classes) else str(number)
        ious = (found.ious[number] if number < len(found.ious) else None for _, found in known)
        rows.append([name, *map(text.percent, ious)])
    return rows
