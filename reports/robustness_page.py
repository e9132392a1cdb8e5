"""Accuracy on images that were moved against each network: a table, and what it does not say."""

from reports import text
from reports.axes import Json
from reports.diagnoses import Attacked, Robustness
from reports.documents import Json as Document
from reports.documents import as_number, as_text, as_whole, list_at, tables_at
from reports.markup import Html, element, numbers, section
from reports.records import RunTables

LABEL = "not a security claim"
MEANING = (
    "Every pixel is moved by epsilon along the sign of the network's gradient: one step (FGSM), "
    "which stronger attacks outdo. Rounding and clipping mask gradients: a network with few bits "
    "that seems robust need not be. Without gradient: images on which there is none, and which are "
    "not moved."
)


def read_robustness(document: Document) -> Robustness | None:
    """What robustness.json says; None where nothing was measured."""
    distances = tuple(as_number(value) or 0.0 for value in list_at(document, "distances"))
    rows = tuple(
        Attacked(
            key=as_text(row.get("key")),
            file=as_text(row.get("file")),
            shown=tuple(map(as_number, list_at(row, "shown"))),
            without_gradient=as_number(row.get("without_gradient")),
        )
        for row in tables_at(document, "rows")
    )
    known = tuple(row for row in rows if len(row.shown) == len(distances))
    if not known:
        return None
    return Robustness(distances=distances, images=as_whole(document.get("images")), rows=known)


def table(run: RunTables) -> tuple[list[str], list[list[str]]]:
    """Header, and a row per file; no rows where nothing was measured."""
    found, shown = run.robustness, run.task.shown
    if found is None:
        return [], []
    columns = [
        shown.head if distance == 0 else f"epsilon {distance:g}/255, {shown.unit}".rstrip(", ")
        for distance in found.distances
    ]
    rows = [
        [
            row.key,
            row.file,
            *(text.score(value, shown) for value in row.shown),
            text.percent(row.without_gradient),
        ]
        for row in found.rows
    ]
    return ["Network", "File", *columns, "Without gradient, %"], rows


def note(run: RunTables) -> str:
    """What the numbers mean."""
    images = run.robustness.images if run.robustness else None
    return f"{MEANING} {text.count(images)} images of the search split."


def robustness(run: RunTables, plots: Json) -> Html | None:
    """The section of the page; None where `nas report --robustness` has measured nothing."""
    header, rows = table(run)
    if not rows:
        return None
    return section(
        f"Moved images ({LABEL})",
        element("div", numbers(header, rows), class_="scroll", tabindex=0),
        element("p", note(run), class_="note"),
    )
