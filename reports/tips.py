"""What the pages say about a network when the pointer or the keyboard is at its marker.

Stated once per network: plots refer to a tip by its place in the list, members before trials.
"""

from reports import text
from reports.axes import Json
from reports.records import UNTUNED, Interval, Member, RunTables, TrialRow
from search_spaces import Metric


def tips(run: RunTables) -> list[Json]:
    """One tip per member, then one per trial."""
    trials = [trial_tip(trial, run.task.shown) for trial in run.trials]
    return [*map(member_tip, run.members), *trials]


def member_tip(member: Member) -> Json:
    """A measured network."""
    deployed, shown = member.deployed, member.task.shown
    name = f"{member.name}, knee" if member.is_knee else member.name
    facts = [
        (f"{shown.axis}, search", score(shown, deployed.search.shown, deployed.search.interval)),
        (f"{shown.axis}, test", score(shown, deployed.test.shown, deployed.test.interval)),
        ("Latency, measured", time(deployed.latency.median_ms, deployed.latency.interval_ms)),
        ("Latency, predicted", time(deployed.latency_predicted_ms)),
        ("Size", text.size(deployed.bytes)),
        ("MACs", text.count(member.macs)),
    ]
    if member.bit_ops is not None:
        facts.append(("Bit cost", text.count(member.bit_ops)))
    if member.finetuned is not None:
        facts.append(("Fine-tuned from", member.finetuned.source))
    if member.is_untuned:
        facts.append(("Training", UNTUNED))
    if member.tied_with:
        facts.append(("Tied with", ", ".join(member.tied_with)))
    return {
        "title": f"{member.key} · {name}",
        "facts": facts,
        "network": text.network(member.arch, member.policy),
    }


def trial_tip(trial: TrialRow, shown: Metric) -> Json:
    """A trial: the metric is measured, costs are predicted."""
    return {
        "title": f"{trial.key} · trial {trial.number}",
        "facts": [
            (f"{shown.axis}, search", score(shown, trial.shown)),
            ("Latency, predicted", time(trial.latency_predicted_ms)),
            ("Size, predicted", text.size(trial.size_predicted_bytes)),
            ("MACs", text.count(trial.macs)),
        ],
        "network": text.network(trial.arch, trial.policy),
    }


def score(metric: Metric, value: float | None, interval: Interval | None = None) -> str:
    """ "61.2 % (58.0-64.1)"."""
    bounds = f" ({text.score_range(interval, metric)})" if interval is not None else ""
    return text.with_unit(text.score(value, metric), metric.unit) + bounds


def time(ms: float | None, interval_ms: Interval | None = None) -> str:
    """ "0.812 ms (0.700-0.900)"."""
    bounds = f" ({text.span(interval_ms)})" if interval_ms is not None else ""
    return text.with_unit(text.significant(ms), "ms") + bounds
