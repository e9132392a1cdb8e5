"""The plots below the networks: how the search went, and how far its predictions hold."""

from reports import hypervolumes, legends, operators, scatters, summary
from reports.axes import Json
from reports.curves import LOSSES
from reports.markup import Html, element, section
from reports.records import RunTables

TAU = "Tau, with its 95 % interval, compares {} on the search split; the plot {}."


def search_progress(run: RunTables, plots: Json) -> Html:
    """Hypervolume over trials, and quality against cost by operators."""
    return element("div", _growth(run, plots), _operator_mix(run, plots), class_="pair")


def _growth(run: RunTables, plots: Json) -> Html:
    plot = plots["growth"]
    note = None
    if plot is not None:
        note = element(
            "p",
            f"{hypervolumes.MEANING} A curve that still climbs asks for more trials. Drawn: the "
            "share of the box between zero and the reference point that the trials so far "
            f"dominate, with predicted costs. Reference point: {plot['reference']} "
            f"({run.task.untaught}; the latency limit, or the slowest trial; the largest trial).",
            class_="note",
        )
    return section("Hypervolume", _curves(plots, "growth", "No trial has a prediction yet."), note)


def _operator_mix(run: RunTables, plots: Json) -> Html:
    found = [
        legends.marker(scatters.FAMILY_SHAPES[name], f"dot {name}", name, radius=5)
        for name in (scatters.families_of(run) if plots["mix"] else [])
    ]
    plot = _plot(plots, "mix", "No trial was scored yet.")
    note = (
        "Each trial counts as the family that more than half of its blocks belong to, else as "
        f"{operators.MIXED}."
    )
    return section(
        "Quality against cost by operators",
        legends.legend(found),
        plot,
        element("p", note, class_="note"),
    )


def predictions(run: RunTables, plots: Json) -> Html:
    """How far predicted latency, inherited weights and the controller can be trusted."""
    pair = element("div", _latency(run, plots), _fidelity(run, plots), class_="pair")
    return pair if plots["beliefs"] is None else element("div", pair, _beliefs(plots))


def _beliefs(plots: Json) -> Html:
    note = (
        "Each trial predicted from the others: Kendall tau between predicted and measured, and the "
        "share of trials within their 90 % interval."
    )
    return section(
        "What the controller predicted",
        _curves(plots, "beliefs", ""),
        element("p", note, class_="note"),
    )


def _latency(run: RunTables, plots: Json) -> Html:
    items = [
        legends.marker("circle", "dot held-out", "profile, held out", radius=5),
        legends.marker("diamond", "dot exported", "exported file", radius=5),
    ]
    return section(
        "Predicted against measured latency",
        legends.legend(items) if plots["latency"] else None,
        _plot(plots, "latency", "No latency profile in this run."),
        element(
            "p",
            f"Networks held out of the fit: {summary.profile_error(run)}. "
            f"Exported files: {summary.files_error(run)}.",
            class_="note",
        ),
    )


def _fidelity(run: RunTables, plots: Json) -> Html:
    shown, loss = run.task.shown.title, run.task.loss.title
    question = f"How far {shown} with shared weights ranks networks like training them alone: "
    return section(
        "Rank fidelity",
        element("p", question, element("b", summary.fidelity(run)), "."),
        _plot(plots, "fidelity", "") if plots["fidelity"] else None,
        element("p", TAU.format(loss, shown), class_="note") if run.fidelity else None,
    )


def training(run: RunTables, plots: Json) -> Html:
    """Loss of the supernet and of the networks that were trained further."""
    parts = [_curves(plots, "training", "No training log in this run.")]
    if plots["finetuning"]:
        parts += [element("h3", "Fine-tuned networks"), _curves(plots, "finetuning", "")]
    if plots["training"] and plots["training"]["series"][0]["name"] == LOSSES["loss"]:
        note = "Largest and smallest: the extremes of the elastic dimensions, operators drawn."
        parts.append(element("p", note, class_="note"))
    return section("Training", *parts)


def _curves(plots: Json, name: str, otherwise: str) -> Html:
    """A plot of lines below its legend."""
    plot = plots[name]
    if plot is None:
        return _plot(plots, name, otherwise)
    items = [legends.line(line["kind"], line["name"]) for line in plot["series"]]
    return element("div", legends.legend(items), _plot(plots, name, otherwise))


def _plot(plots: Json, name: str, otherwise: str) -> Html:
    if plots[name] is None:
        return element("p", otherwise, class_="empty")
    return element("div", id=f"plot-{name}", class_="plot")
