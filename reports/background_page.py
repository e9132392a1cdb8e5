"""The lower half of the page: what was run, on what, for how long, and how far to trust it."""

from collections.abc import Iterable, Mapping
from typing import Any

from reports import charts, summary, text
from reports.markup import Html, element, join, section
from reports.records import LimitRow, RunTables


def background(run: RunTables) -> Html:
    """What was run, on what, for how long, and how far its numbers can be trusted."""
    return element(
        "div",
        section("What was run", *_settings(run)),
        section("Budgets", _budgets(run)),
        section("Time", _phases(run)),
        section("Trials", *_trials(run)),
        section("Training", _training(run)),
        section("Latency prediction", *_latency_prediction(run)),
        section("Rank fidelity", *_rank_fidelity()),
        section("Environment", _environment(run)),
        class_="columns",
    )


def _settings(run: RunTables) -> list[Html]:
    command = run.environment.get("command")
    words = " ".join(map(str, command)) if isinstance(command, list) else command
    config = [pair for pair in _flat(run.config) if pair[0] != "budget"]
    plan = _flat({k: v for k, v in run.plan.items() if k not in ("schema", "limits")})
    parts = [element("p", element("code", words))] if words else []
    groups = (("Settings", config), ("Space and data", _space_and_data(run)), ("Plan", plan))
    for name, pairs in groups:
        parts += [element("h3", name), _pairs(pairs)] if pairs else []
    return parts


def _space_and_data(run: RunTables) -> list[tuple[str, str]]:
    networks = run.num_networks
    pairs = [] if networks is None else [("distinct networks", text.magnitude(networks))]
    if not run.members:
        return pairs
    first = run.members[0]
    names = ", ".join(first.classes[:6]) + (", …" if len(first.classes) > 6 else "")
    sides = first.input.get("shape")
    shape = " x ".join(map(str, sides)) if isinstance(sides, list) else text.MISSING
    return [
        *pairs,
        ("classes", f"{len(first.classes)}: {names}"),
        ("input", f"{shape} {first.input.get('channels', '')}".strip()),
        ("images, search", _shown(first.deployed.search.total)),
        ("images, test", _shown(first.deployed.test.total)),
    ]


def _budgets(run: RunTables) -> Html:
    if not run.limits:
        return element("p", "No budget was given.", class_="empty")
    return element("ul", *(_budget(limit) for limit in run.limits), class_="plain")


def _budget(limit: LimitRow) -> Html:
    verdict = summary.verdict(limit)
    mark = element("span", verdict, class_="badge") if verdict else None
    detail = element("p", summary.budget_detail(limit), class_="quiet")
    return element("li", element("b", limit.text), " ", mark, detail)


def _phases(run: RunTables) -> Html:
    if not run.phases:
        return element("p", "No phase has started yet.", class_="empty")
    known = [phase.seconds for phase in run.phases if phase.seconds is not None]
    longest = max(known, default=0.0) or 1.0
    rows = []
    for phase in run.phases:
        share = 100 * (phase.seconds or 0.0) / longest
        shown = text.MISSING if phase.seconds is None else text.seconds(phase.seconds)
        cut = f"interrupted {phase.num_interrupted} x" if phase.num_interrupted else None
        rows += [
            element("dt", phase.name, element("small", cut) if cut else None),
            element(
                "dd",
                element("span", class_="bar", style=f"width:{share:.1f}%"),
                element("span", shown, class_="bar-text"),
            ),
        ]
    return join(
        element("dl", *rows, class_="bars"),
        element("p", f"{text.seconds(sum(known))} in all.", class_="note"),
    )


def _trials(run: RunTables) -> list[Html]:
    failures: dict[str, int] = {}
    for trial in run.trials:
        if trial.failure is not None:
            failures[trial.failure] = failures.get(trial.failure, 0) + 1
    parts = [element("p", f"{summary.trial_count(run)}.")]
    if failures:
        reasons = [element("li", f"{number} x: {reason}") for reason, number in failures.items()]
        parts.append(element("ul", *reasons, class_="plain"))
    if run.replaced:
        replaced = [
            element("li", element("code", key), f" replaced: {why}") for key, why in run.replaced
        ]
        parts += [element("h3", "Replaced finalists"), element("ul", *replaced, class_="plain")]
    if run.notes:
        notes = [element("li", note) for note in run.notes]
        parts += [element("h3", "Notes of the run"), element("ul", *notes, class_="plain")]
    return parts


def _training(run: RunTables) -> Html:
    return _plot_or("plot-training", charts.training_plot(run), "No training log in this run.")


def _latency_prediction(run: RunTables) -> tuple[Html, Html]:
    plot = charts.profile_plot(run)
    legend = "Large dots: held out of the fit. " if plot else None
    return (
        _plot_or("plot-profile", plot, "No latency profile in this run."),
        element("p", legend, f"Networks held out: {summary.profile_error(run)}.", class_="note"),
    )


def _rank_fidelity() -> tuple[Html, Html]:
    question = "How far accuracy with shared weights ranks networks like training them alone:"
    return element("p", question), element("p", element("b", summary.NOT_MEASURED))


def _plot_or(name: str, plot: object, otherwise: str) -> Html:
    if plot is None:
        return element("p", otherwise, class_="empty")
    return element("div", id=name, class_="plot")


def _environment(run: RunTables) -> Html:
    pairs = _flat({k: v for k, v in run.environment.items() if k not in ("schema", "command")})
    return _pairs(pairs) if pairs else element("p", "Not recorded.", class_="empty")


def _pairs(pairs: Iterable[tuple[str, str]]) -> Html:
    rows = [part for name, value in pairs for part in (element("dt", name), element("dd", value))]
    return element("dl", *rows, class_="pairs")


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested tables as dotted names, values as people write them."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            is_size = name.endswith("_bytes") and isinstance(value, int)
            pairs.append((prefix + name, text.size(value) if is_size else _shown(value)))
    return pairs


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or text.MISSING
    return text.MISSING if value is None or value != value or value == "" else str(value)
