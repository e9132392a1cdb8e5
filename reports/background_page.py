"""The end of the page: what was run, on what, and for how long."""

from collections.abc import Iterable

from reports import summary, text
from reports.axes import Json
from reports.markup import Html, element, join, section
from reports.records import LimitRow, RunTables


def background(run: RunTables, plots: Json) -> Html:
    """What was run, on what, and for how long."""
    return element(
        "div",
        *_settings(run),
        section("Budgets", _budgets(run)),
        section("Time", _phases(run)),
        section("Trials", *_trials(run)),
        section("Environment", _environment(run)),
        class_="columns",
    )


def _settings(run: RunTables) -> list[Html]:
    command = run.environment.get("command")
    words = " ".join(map(str, command)) if isinstance(command, list) else command
    config = [pair for pair in text.flat(run.config) if pair[0] != "budget"]
    plan = text.flat({k: v for k, v in run.plan.items() if k not in ("schema", "limits")})
    command_line = element("p", element("code", words)) if words else None
    return [
        section("What was run", command_line, _pairs(config)),
        section("Space and data", _pairs(_space_and_data(run))),
        section("Plan", _pairs(plan)),
    ]


def _space_and_data(run: RunTables) -> list[tuple[str, str]]:
    networks = run.num_networks
    pairs = [] if networks is None else [("distinct networks", text.magnitude(networks))]
    pairs += summary.left_out(run)
    if not run.members:
        return pairs
    first = run.members[0]
    names = ", ".join(first.classes[:6]) + (", …" if len(first.classes) > 6 else "")
    sides = first.input.get("shape")
    shape = " x ".join(map(str, sides)) if isinstance(sides, list) else text.MISSING
    return [
        *pairs,
        *([("classes", f"{len(first.classes)}: {names}")] if names else []),
        ("input", f"{shape} {first.input.get('channels', '')}".strip()),
        ("images, search", text.shown(first.deployed.search.total)),
        ("images, test", text.shown(first.deployed.test.total)),
    ]


def _budgets(run: RunTables) -> Html:
    if not run.limits:
        return element("p", "No budget was given.", class_="empty")
    return element("ul", *(_budget(run, limit) for limit in run.limits), class_="plain")


def _budget(run: RunTables, limit: LimitRow) -> Html:
    verdict = summary.verdict(limit)
    mark = element("span", verdict, class_="badge") if verdict else None
    said = summary.budget_detail(limit) + summary.left_out_by(run, limit)
    detail = element("p", said, class_="quiet")
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


def _environment(run: RunTables) -> Html:
    pairs = text.flat({k: v for k, v in run.environment.items() if k not in ("schema", "command")})
    return _pairs((name.removeprefix("versions."), value) for name, value in pairs)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Html:
    rows = [part for name, value in pairs for part in (element("dt", name), element("dd", value))]
    if not rows:
        return element("p", "Not recorded.", class_="empty")
    return element("dl", *rows, class_="pairs")
