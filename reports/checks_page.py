"""Whether the files do what the search believed: parity, quantization, kernels, timing."""

from reports import members_page, summary, text
from reports.axes import Json
from reports.markup import Html, element, section
from reports.records import Member, RunTables
from search_spaces import AbstractClassTask

HEAD = ("Network", "Same answers", "Test fp32", "Deployed", "Change", "Integer kernels", "Latency")
FRESH = (
    " are those of the exported files: of what they answer in a fresh process that imports only "
    "{} and numpy."
)


def checks(run: RunTables, plots: Json) -> Html | None:
    """What was checked, and what came out."""
    if not run.members:
        return None
    facts = [
        part
        for name, value in summary.checks(run)
        for part in (element("dt", name), element("dd", value))
    ]
    rows, shown = [_row(member) for member in run.members], run.task.shown
    runtime = run.members[0].deployed.answered_by
    difference = "in percentage points" if shown.is_share else f"in {shown.unit or shown.title}"
    answer = (
        "class"
        if isinstance(run.task, AbstractClassTask)
        else "answer, as far as the task tells answers apart"
    )
    head = element("tr", *(element("th", name, scope="col") for name in HEAD))
    table = element("table", element("thead", head), element("tbody", *rows), class_="checks")
    return section(
        "Checks",
        element("p", f"{shown.axis} and {run.task.loss.title}{FRESH.format(runtime)}"),
        element("dl", *facts, class_="pairs"),
        element(
            "div",
            table,
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label="Checks of each network",
        ),
        element(
            "p",
            "Same answers: images to which the network that was scored and its exported file give "
            f"the same {answer}. Change: {shown.title} on test, deployed minus fp32 before "
            f"quantization, {difference}.",
            class_="note",
        ),
    )


def _row(member: Member) -> Html:
    deployed, unquantized = member.deployed, member.unquantized
    is_bimodal = deployed.latency.is_bimodal
    cells: list[object] = [
        same_answers(member),
        text.score(unquantized.test.shown, member.task.shown),
        text.score(deployed.test.shown, member.task.shown),
        change(member),
        text.count(deployed.integer_kernels),
        element("span", "bimodal", class_="warning") if is_bimodal else "one mode",
    ]
    if deployed.latency.median_ms is None:
        cells[-1] = summary.NOT_MEASURED
    link = element("a", member.key, href=f"#{members_page.anchor(member)}", class_="key")
    name = element("small", member.name) if member.is_reference else None
    return element(
        "tr",
        element("th", link, " ", name, scope="row"),
        *(element("td", cell, class_="number") for cell in cells),
    )


def same_answers(member: Member) -> str:
    """ "99.8 % of 2000"."""
    parity = member.deployed.parity
    if parity is None:
        return summary.NOT_MEASURED
    images = "" if parity.images is None else f" of {parity.images}"
    return f"{text.percent_at_least(parity.same_answer)} %{images}"


def change(member: Member) -> str:
    """What quantization did to the task's metric on test, with its sign; points of percent."""
    before, after = member.unquantized.test.shown, member.deployed.test.shown
    if before is None or after is None:
        return text.MISSING
    if member.unquantized is member.deployed:
        return "not quantized"
    if not member.task.shown.is_share:
        return f"{after - before:+.3g}"
    points = round(100 * (after - before), 1)
    return f"{points:+.1f}" if points else "0.0"
