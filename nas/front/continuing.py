"""A search that continues with more trials or more time than it was begun with.

Recorded trials stay the first ones: each was asked for with those before it alone, so a search that
is continued has the trials of one that was given as many at once. Who is trained further and who is
measured is decided anew; networks that are trained or measured already are not again, except that
all are timed together where new ones join (docs/decisions/0012). Former members of the front
compete, too, so that a front is not worse for having been continued.

search_plan.json says it all, and is replaced in one step:

    asked        trials and time that it was made for
    extension    how often it has grown; front.json has the number of the plan it is the front of
    members      of the front before
    timed        keys of networks whose files were timed in one call before
"""

import shlex
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from nas.finalists.entry import TWIN, Entry
from nas.finalists.rounds import PLANS, RECOVERY
from nas.finalists.train import DECIDED
from nas.front.card import read_card
from nas.front.contest import Contest
from nas.front.folders import CARD, DEPLOYED, FINALISTS, FRONT, REFERENCES
from nas.front.measure import Exporter
from nas.front.members import entry_of
from nas.prepare.phases import PhasePlan
from nas.prepare.reopen import Trained
from nas.run.config import Config
from nas.run.directory import Run, read_config_of, read_front
from nas.run.growth import as_begun, asked, extension, has_front
from nas.system.files import read_json, read_lines, understood, write_json
from nas.system.text import parse_time
from search_spaces import UserError

PLAN = "search_plan.json"
AGAIN = (DECIDED, *PLANS, RECOVERY)
"""Decided anew, because it depends on which trials there are."""


def grown_plan(
    run: Run,
    config: Config,
    document: dict[str, Any],
    plan: Callable[[Config, float], dict[str, Any]],
) -> dict[str, Any]:
    """search_plan.json with the trials that the configuration now asks for.

    Time that was added goes into trials. Images per score, finalists and the time for training them
    stay: scores must compare, and so must finalists.

    Args:
        run: Its configuration may have grown since the plan was made.
        config: What is asked now.
        document: search_plan.json.
        plan: Plans a search of a configuration for so many seconds, by measuring.
    """
    before = document.get("asked", asked(as_begun(run.path, config)))
    if before == asked(config):
        return document
    with understood(f"'{run.path / PLAN}'"):
        planned, time = int(document["trials"]), str(before["time"])
        kept = {f.name: document[f.name] for f in fields(PhasePlan) if f.name in document}
    trials = config.trials
    if not trials:
        # Nothing is to be trained but finalists, as with a supernet that is given.
        fixed = {n: value for n, value in kept.items() if n not in ("trials", "lag")}
        fixed["sensitivity_s"] = 0.0  # measured already
        again = replace(config, supernet=str(run.path), set={**config.set, **fixed})
        more = plan(again, _seconds_left(run, config, time))["trials"]
        trials = max(planned, _num_recorded(run) + more)
    grown = {**document, "trials": trials, "asked": asked(config)}
    if trials > planned:
        grown |= {
            "extension": extension(run.path) + 1,
            "members": _members(run),
            "timed": timed_together(run),
        }
        text = f"continued with {trials} trials instead of {planned}"
        run.event("search", "message", text=text)
        for name in AGAIN:
            (run.path / name).unlink(missing_ok=True)
    write_json(run.path / PLAN, grown)
    return grown


def _seconds_left(run: Run, config: Config, time: str) -> float:
    """Of the time: what was added, and more where the search was interrupted.

    What came after a finished search, such as `nas finetune`, was never part of its time.
    """
    added_s = config.seconds - parse_time(time)
    return added_s if has_front(run.path) else max(added_s, run.remaining_s(config))


def _num_recorded(run: Run) -> int:
    return len(read_lines(run.path / "trials.jsonl", lambda line: line))


def timed_together(run: Run) -> list[str]:
    """Keys of the networks that were timed in one call; of the largest one, if in several."""
    calls: dict[str, list[str]] = defaultdict(list)
    for kind in (FRONT, FINALISTS, REFERENCES):
        for path in sorted(run.path.glob(f"{kind}/*/{CARD}")):
            latency = read_card(path)["files"][DEPLOYED]["latency"]
            calls[latency["measured_at"]].append(path.parent.name)
    return max(calls.values(), key=len, default=[])


def rejoined(trained: Trained, contest: Contest, exporter: Exporter) -> tuple[Contest, Exporter]:
    """Who competes in a run that was continued, and whether all are timed again.

    Both are what they were if it was not.
    """
    run = trained.run
    if not extension(run.path):
        return contest, exporter
    document = read_json(run.path / PLAN)
    first = contest.queue[: contest.num_finalists]
    measured = [*map(contest.finalist, first), *contest.others, *contest.references]
    with understood(f"'{run.path / PLAN}'"):
        members = [str(key).removesuffix(TWIN) for key in document["members"]]
        timed = set(document["timed"])
    known = {entry.key for entry in measured}
    former = [_former(trained, key) for key in dict.fromkeys(members) if key not in known]
    taken = {entry.candidate.key for entry in former}
    rest = [t for t in contest.queue[len(first) :] if t.candidate.key not in taken]
    joining = {entry.key for entry in (*measured, *former)} - timed
    return (
        replace(contest, queue=[*first, *rest], others=[*contest.others, *former]),
        replace(exporter, times_again=exporter.times_again or bool(joining)),
    )


def of_plan(run: Run) -> dict[str, Any]:
    """What front.json says of the plan that it is the front of."""
    number = extension(run.path)
    return {"extension": number} if number else {}


def more_command(path: Path) -> str:
    """The command that continues a finished run with twice the trials."""
    planned = int(read_json(path / PLAN)["trials"])
    model = read_config_of(path).model
    words = ["nas", "compress", model] if model else ["nas", "search"]
    words += ["--config", str(path / "config.toml"), "--out", str(path)]
    return shlex.join([*words, "--trials", str(2 * planned)])


def _former(trained: Trained, key: str) -> Entry:
    try:
        return entry_of(trained, key)
    except UserError as error:
        raise UserError(
            f"{error} It was on the front before. Restore what is missing from a copy."
        ) from error


def _members(run: Run) -> list[str]:
    is_there = (run.path / "front.json").exists()
    return list(read_front(run.path)["members"]) if is_there else []
