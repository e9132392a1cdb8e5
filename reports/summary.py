"""What a run was and how far its numbers can be trusted, in sentences.

Plain text, not escaped: whoever puts it into a page or a Markdown file escapes it there.
"""

from collections.abc import Callable

from nas.budget import format_value
from reports import text
from reports.records import LimitRow, RunTables

NOT_MEASURED = "not measured"


def title(run: RunTables) -> str:
    """ "hybrid on digit-pairs"."""
    return f"{run.config.get('space', 'unnamed space')} on {run.config.get('data', 'unnamed data')}"


def headline(run: RunTables) -> str:
    """One or two sentences: how many networks, and over which range."""
    times = _span([m.deployed.latency.median_ms for m in run.front], text.significant)
    shares = _span([m.deployed.search.fraction for m in run.front], text.percent)
    reach = [f"{times} ms"] if times else []
    reach += [f"{shares} % accuracy on search"] if shares else []
    where = f": {', '.join(reach)}" if reach else ""
    return f"{plural(len(run.front), 'network')} on the front{where}. {trial_count(run)}."


def _span(values: list[float | None], show: Callable[[float], str]) -> str:
    """From the lowest to the highest known value; empty when none is known."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return ""
    low, high = show(known[0]), show(known[-1])
    return low if low == high else f"{low} to {high}"


def trial_count(run: RunTables) -> str:
    """ "60 trials, 2 of them failed"."""
    failed = sum(trial.failure is not None for trial in run.trials)
    return plural(len(run.trials), "trial") + (f", {failed} of them failed" if failed else "")


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def facts(run: RunTables) -> list[tuple[str, str]]:
    """What was run and how far to trust it, as (name, value)."""
    budgets = [("budget", budget(limit)) for limit in run.limits] or [("budget", "none")]
    phases = [
        f"{phase.name} {text.MISSING if phase.seconds is None else text.seconds(phase.seconds)}"
        for phase in run.phases
    ]
    return [
        ("controller", str(run.config.get("controller", text.MISSING))),
        *budgets,
        ("measured on", measured_on(run)),
        ("time", "; ".join(phases) or text.MISSING),
        ("latency prediction, networks held out", profile_error(run)),
        ("rank fidelity of inherited accuracy", NOT_MEASURED),
    ]


def budget(limit: LimitRow) -> str:
    """In words: "4.5GFLOPs does not bind (at most 4.5 GMACs; largest network 58.1 MMACs)"."""
    words = " ".join(part for part in (limit.text, verdict(limit)) if part)
    detail = budget_detail(limit)
    return f"{words} ({detail})" if detail else words


def verdict(limit: LimitRow) -> str:
    """Whether it excludes any network; empty if the run did not record that."""
    return {None: "", True: "binds", False: "does not bind"}[limit.binds]


def budget_detail(limit: LimitRow) -> str:
    """What is limited, and how far the largest network goes."""
    if limit.max is None:
        return ""
    found = "largest found" if limit.metric == "latency_ms" else "largest network"
    largest = (
        "" if limit.largest is None else f"; {found} {format_value(limit.metric, limit.largest)}"
    )
    return f"at most {format_value(limit.metric, limit.max)}{largest}"


def measured_on(run: RunTables) -> str:
    """Runtime, processor and protocol of the first file that was timed."""
    timed = [m.deployed.latency for m in run.members if m.deployed.latency.median_ms is not None]
    if not timed:
        return NOT_MEASURED
    first = timed[0]
    parts = [
        f"{first.runtime} {first.version}".strip(),
        f"{first.cpu} ({first.instruction_set})" if first.instruction_set else first.cpu,
        plural(first.threads, "thread") if first.threads is not None else "",
        f"batch {first.batch}" if first.batch is not None else "",
        f"{first.processes} fresh processes" if first.processes is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def profile_error(run: RunTables) -> str:
    """The latency profile's own error on networks it was not fitted on."""
    profile = run.profile
    if profile is None or profile.mape is None:
        return NOT_MEASURED
    networks = "" if profile.num_networks is None else f" on {profile.num_networks} networks"
    worst = "" if profile.max_error is None else f", at worst {text.percent(profile.max_error)} %"
    tau = "" if profile.kendall_tau is None else f", Kendall tau {profile.kendall_tau:.2f}"
    return f"mean error {text.percent(profile.mape)} %{networks}{worst}{tau}"
