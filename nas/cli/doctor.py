"""The command `nas doctor`."""

import json
from typing import Annotated

import typer

from nas.cli.codes import FAILED, OK
from nas.cli.console import print_table, say


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """What works on this machine: packages, processor, targets, formats, executors, data sets.

    Times a tiny network in every format on every target. Exit code 1 if something is broken that a
    search without any flag needs.
    """
    from nas.inspect.doctor import diagnose

    facts = diagnose()
    broken = [fact for fact in facts if fact.state == "broken"]
    if as_json:
        say(json.dumps([fact.to_json() for fact in facts]))
    else:
        rows = [(fact.kind, fact.name, fact.state, fact.about) for fact in facts]
        print_table(("what", "name", "state", "found"), rows)
    for fact in broken:
        say(f"nas: {fact.kind} '{fact.name}' is needed and broken: {fact.about}", err=True)
    return FAILED if broken else OK
