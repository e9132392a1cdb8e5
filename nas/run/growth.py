"""More trials or more time for a run than it was begun with: what is allowed, and what is kept.

    grown.jsonl     one line per change, written before config.toml: `from` and `to`, each with
                    `trials` and `time`

All else stays as it was decided: the profile has the size that the first configuration gave it, the
training the steps of plan.json. What grows is search_plan.json (`nas/front/continuing.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.run.config import Config
from nas.system.files import append_line, read_json, read_lines, understood
from nas.system.text import parse_time
from search_spaces import UserError

CONFIG, GROWN = "config.toml", "grown.jsonl"
PROFILE = "profile/profile.json"
GROWING = ("trials", "time")
RULE = "A run continues with the trials and the time that it has, or with more"


def asked(config: Config) -> dict[str, Any]:
    """What of a configuration may grow."""
    return _growing(vars(config))


def only_grows(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two configurations differ in what may grow, and in nothing else."""
    changed = {name for name in new if old.get(name) != new[name]}
    return bool(changed) and changed <= set(GROWING)


def check_growth(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """See that a run is asked for more trials or more time, and not for less of either.

    Args:
        path: Of the run.
        old: Its configuration, as config.toml has it.
        new: The one to continue with.

    Raises:
        UserError: If it is less.
    """
    with understood(f"'{path / CONFIG}'", "or begin a new run with --out"):
        before = int(old["trials"])
    least = max(before, _planned_trials(path))
    if new["trials"] != before and new["trials"] < least:
        wanted = f"--trials {new['trials']}" if new["trials"] else "no number of trials"
        raise UserError(
            f"run '{path}': {wanted} is asked for, and it has {least}. {RULE}. "
            f"Give --trials {least} or more, or begin a new run with another --out."
        )
    if parse_time(new["time"]) < parse_time(old["time"]):
        raise UserError(
            f"run '{path}': --time {new['time']} is asked for, and it has {old['time']}. {RULE}. "
            f"Give --time {old['time']} or more, or begin a new run with another --out."
        )


def grow(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Record that a run gets more trials or more time.

    Args:
        path: As in `check_growth`, and so are
        old: and
        new: the configurations.

    Raises:
        UserError: If it is less of either; nothing is written.
    """
    check_growth(path, old, new)
    append_line(path / GROWN, {"schema": 1, "from": _growing(old), "to": _growing(new)})


def said_of_continuing(path: Path, changes: Sequence[str]) -> str:
    """What a run continues with, and what it keeps of what was recorded, in a sentence.

    Args:
        path: Of the run.
        changes: Of its configuration.
    """
    num_scores = len(list(path.glob("measurements/*.json")))
    weights, started = path / "supernet.safetensors", path / "train_state/state.safetensors"
    kept = [
        *(["the latency profile"] if (path / PROFILE).exists() else []),
        *(["the trained supernet"] if weights.exists() else []),
        *(["training up to its checkpoint"] if started.exists() and not weights.exists() else []),
        *([f"{num_scores} score{'s' * (num_scores > 1)}"] if num_scores else []),
        *(["files that were measured"] if (path / "front.json").exists() else []),
    ]
    changed = f" with {'; '.join(changes)}" if changes else ""
    return f"this run continues{changed}; kept: {', '.join(kept) or 'what was decided'}"


def as_begun(path: Path, config: Config) -> Config:
    """The configuration with the trials and the time with which the run was begun."""
    lines = read_lines(path / GROWN, lambda line: dict(line["from"]))
    with understood(f"'{path / GROWN}'"):
        return replace(config, **_growing(lines[0])) if lines else config


def extension(path: Path) -> int:
    """How often the plan of a run's search has grown."""
    plan = path / "search_plan.json"
    with understood(f"'{plan}'"):
        return int(read_json(plan).get("extension", 0)) if plan.exists() else 0


def has_front(path: Path) -> bool:
    """Whether a run is searched to the end: its front is that of the plan that it has now."""
    front = path / "front.json"
    with understood(f"'{front}'"):
        return front.is_file() and int(read_json(front).get("extension", 0)) == extension(path)


def _growing(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in GROWING}


def _planned_trials(path: Path) -> int:
    plan = path / "search_plan.json"
    with understood(f"'{plan}'"):
        return int(read_json(plan)["trials"]) if plan.exists() else 0
