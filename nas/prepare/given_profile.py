"""A latency profile that `nas profile --space` has made: what it is of, and whether it fits here.

    asked.json      what it was asked for, and where: target, its options, runtime, its version,
                    processor; space, sides, channels, classes, formats, sparsities, budgets, time
    space.json      the search space
    rows.jsonl      timed files, one per line
    profile.json    the model fitted on them, its error beside that of MACs alone, and the
                    largest slots that were timed

A search copies profile.json, so that it needs the folder no more. Times depend on the target and
the machine, so those must be the same; spaces need not be: every kind of slot must have been timed,
and how many slots are beyond those is said.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nas.latency import Coverage
from nas.run.config import Config, differences
from nas.system.files import read_json, understood
from nas.targets import choose
from search_spaces import SearchSpace, UserError, some_of

ASKED, SPACE, ROWS, DOCUMENT = "asked.json", "space.json", "rows.jsonl", "profile.json"


def given_profile(config: Config, space: SearchSpace) -> dict[str, Any]:
    """The document of the profile that a configuration names, for a run to keep.

    Args:
        config: Names it.
        space: Of the search.

    Returns:
        What `nas.prepare.profile` writes, and `given`: where it was made and what it covers.

    Raises:
        UserError: If there is none, it is not finished, or it was made for something else.
    """
    folder = Path(config.profile)
    chosen = choose(config.target, threads=config.timing_threads)
    assert space.network is not None
    command = (
        f"nas profile --space {config.space} --target {chosen.text} "
        f"--resolution {space.network.resolution} --precision {','.join(space.precisions)}"
    )
    again = f"make another with `{command}`, or leave out --profile"
    if not (folder / ASKED).is_file():
        raise UserError(
            f"profile '{folder}': there is no {ASKED}, so this is not a latency profile. Name the "
            f"folder that `nas profile --space` printed, {again}."
        )
    if not (folder / DOCUMENT).is_file():
        raise UserError(
            f"profile '{folder}' is not finished: it has no {DOCUMENT}. Continue it with the "
            f"command that began it, {again}."
        )
    place = chosen.place()
    asked, document = read_json(folder / ASKED), read_json(folder / DOCUMENT)
    with understood(f"'{folder / ASKED}'"):
        known = {name: asked["place"][name] for name in place}
        of_what = f"space '{asked['space']}' with precision {', '.join(asked['precision'])}"
    with understood(f"'{folder / DOCUMENT}'"):
        covered = Coverage.of(space, document["largest"])
    changed = differences(known, place)
    if changed:
        raise UserError(
            f"profile '{folder}' was not measured as this search measures: "
            f"{'; '.join(changed)}. To search here, {again}."
        )
    if covered.missing:
        raise UserError(
            f"profile '{folder}' has never timed {_quoted(covered.missing)}, which space "
            f"'{config.space}' has at this resolution and in these formats; it is of {of_what}. "
            f"To search here, {again}."
        )
    return {
        **document,
        "given": {"place": known, "path": str(folder), "covered": vars(covered)},
    }


def said_of_given(document: dict[str, Any]) -> list[str]:
    """Sentences on a profile that was given."""
    given = document["given"]
    used = f"latency profile '{given['path']}' is used: nothing is timed for one here"
    return [used, *said_of_coverage(given["covered"])]


def said_of_coverage(covered: Mapping[str, Any]) -> list[str]:
    """A sentence on slots that are beyond what was timed, if there are any."""
    beyond = []
    if covered["outside"]:
        beyond.append(
            f"{covered['outside']} of {covered['slots']} slots are over twice as large as those of "
            f"their kind that were timed ({_quoted(covered['outside_kinds'])})"
        )
    if covered["missing"]:
        beyond.append(f"{_quoted(covered['missing'])} were never timed")
    return [f"{'; '.join(beyond)}: latencies with them are extrapolated"] if beyond else []


def _quoted(names: Iterable[str]) -> str:
    return some_of(f"'{name}'" for name in names)
