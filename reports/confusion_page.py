"""Classes on the page: of every network its recalls, the worst first, and what it confuses."""

from reports import confusions, text
from reports.axes import Json
from reports.confusions import name_of
from reports.markup import Html, element, numbers, section
from reports.members_page import anchor
from reports.records import Member, RunTables
from search_spaces import Confusion

LARGEST_DRAWN = 100
"""Classes of a picture, at most: beyond, a cell is too small to be seen."""

SIDE, LEAST_CELL, LARGEST_CELL = 280, 4, 34  # pixels
NAMED_CELL, COUNTED_CELL = 14, 26  # from this size of cells on there is room for names, for counts
NAMES, LETTERS = 96, 13  # pixels for names of classes, and how many letters they hold
PALEST, DARKEST = 0.08, 0.5  # opacity: counts must be readable on it

PICTURE = (
    " Pictures: a row for every class, a column for every answer, in the same order; the darker a "
    "cell, the larger its share of the row; blue is right."
)


def classes(run: RunTables, plots: Json) -> Html | None:
    """What the networks of the front take for what; None where no card says it."""
    known = confusions.known(run.front)
    if not known:
        return None
    return section(
        "Classes",
        element("p", confusions.majority(*known[0]), PICTURE, class_="note"),
        element("div", *(_network(*pair) for pair in known), class_="networks"),
    )


def _network(member: Member, confusion: Confusion) -> Html:
    shown = member.task.shown
    score = text.with_unit(text.score(member.deployed.search.shown, shown), shown.unit)
    said = f"{shown.title} {score}, {confusions.balanced(member, confusion)}"
    more = len(confusion.recalls) - confusions.MOST_CLASSES
    return element(
        "article",
        element("h3", element("a", member.key, href=f"#{anchor(member)}", class_="key")),
        element("p", f"{said[:1].upper()}{said[1:]}."),
        _recalls(member, confusion),
        element("p", f"{more} classes with higher recalls.", class_="note") if more > 0 else None,
        matrix(member, confusion),
        class_="network",
    )


def _recalls(member: Member, confusion: Confusion) -> Html:
    test = member.deployed.test.confusion
    tested = test.recalls if test is not None else {}
    rows = [
        [
            name_of(member, number),
            str(confusion.labels[number]),
            text.percent(confusion.recalls[number]),
            text.percent(tested.get(number)),
            confusions.taken_for(member, confusion, number),
        ]
        for number in confusions.worst(confusion)
    ]
    head = ("Class", "Images", "Recall, %", "Test, %", "Most often taken for")
    return element(
        "div",
        numbers(head, rows),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label=f"Recalls of {member.key}",
    )


def matrix(member: Member, confusion: Confusion) -> Html | None:
    """The picture; None for more classes than can be told apart in it."""
    count = len(confusion.labels)
    if count > LARGEST_DRAWN:
        return None
    cell = max(LEAST_CELL, min(LARGEST_CELL, SIDE // count))
    left = NAMES if cell >= NAMED_CELL else 0
    side = cell * count
    right = ((number, number, images) for number, images in enumerate(confusion.right))
    pairs = [pair for pair in (*right, *confusion.confused) if pair[2]]
    names = [_name(name_of(member, i), left - 6, cell * (i + 0.5)) for i in range(count) if left]
    drawn = element(
        "svg",
        element("rect", x=left, y=0, width=side, height=side, class_="board"),
        *names,
        *(_cell(member, confusion, pair, left, cell) for pair in pairs),
        width=left + side + 1,
        height=side + 1,
        viewBox=f"0 0 {left + side + 1} {side + 1}",
        role="img",
        aria_label=confusions.line(member, confusion),
    )
    label = f"What {member.key} takes for what"
    return element("div", drawn, class_="matrix", tabindex=0, role="group", aria_label=label)


def _name(name: str, x: float, y: float) -> Html:
    shown = name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
    return element("text", element("title", name), shown, x=x, y=y + 4, class_="row-name")


def _cell(
    member: Member, confusion: Confusion, pair: tuple[int, int, int], left: int, cell: int
) -> Html:
    """One pair of label and answer, with how many images it has."""
    label, answer, images = pair
    of = max(confusion.labels[label], images)
    x, y = left + cell * answer, cell * label
    said = f"{name_of(member, label)}, called {name_of(member, answer)}: {images} of {of}"
    opacity = round(PALEST + (DARKEST - PALEST) * images / of, 2)
    tone = "hit" if label == answer else "miss"
    middle = {"x": x + cell / 2, "y": y + cell / 2 + 4, "class_": "count"}
    return element(
        "g",
        element("title", said),
        element("rect", x=x, y=y, width=cell, height=cell, class_=tone, fill_opacity=opacity),
        element("text", images, **middle) if cell >= COUNTED_CELL else None,
    )
