"""The commands `nas plugin ...`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import say
from nas.cli.options import Plugins

plugin_app = typer.Typer(
    help="List plug-ins, and check one of your own against its contract.", no_args_is_help=True
)

OK, BROKEN = 0, 1


@plugin_app.command("list", epilog="Example: nas plugin list --plugin my_controller.py")
def plugin_list(
    plugin: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """All plug-ins by kind: ours, those of installed packages and those of --plugin."""
    from search_spaces import load_plugins

    load_plugins(plugin or ())
    from nas.testing.kinds import listing

    found = listing()
    if as_json:
        say(json.dumps(found))
        return
    for kind, plugins in found.items():
        say(f"{kind}:")
        for name, about in plugins.items():
            say(f"  {name:14} {about}")


@plugin_app.command("check", epilog="Example: nas plugin check my_controller.py")
def plugin_check(
    file: Annotated[Path, typer.Argument(metavar="FILE.py", help="The plug-in.")],
    plugin: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Run all checks of all that a plug-in file registers, a line each.

    Other plug-ins that it needs are named with --plugin. Exit code 1 if a check fails.
    """
    from search_spaces import load_plugins

    load_plugins(plugin or ())
    from nas.testing.kinds import check_plugin

    findings = []
    for finding in check_plugin(file):
        findings.append(finding)
        if not as_json:
            state = f"FAILED: {finding.failure}" if finding.failure else "ok"
            say(f"{finding.kind} '{finding.name}': {finding.check}: {state}")
    if not findings and not as_json:
        say(f"'{file}': there are no checks for what it registers")
    if as_json:
        say(json.dumps([finding._asdict() for finding in findings]))
    return BROKEN if any(finding.failure for finding in findings) else OK
