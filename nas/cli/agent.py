"""The command `nas agent`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.console import say


def agent(
    host: Annotated[
        str | None,
        typer.Option(
            help="Address of this machine to listen on; others than loopback see it. [127.0.0.1]"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port to listen on; 0 for any that is free. [8477]"),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="For files that arrive; kept for the next start. [runs/agent]"),
    ] = None,
    storage_gb: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=1e6, help="Of these files; the longest unused are thrown out. [4]"
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="Holds the token that clients must have. [$NAS_AGENT_TOKEN, or one that is made "
            "and printed]"
        ),
    ] = None,
) -> None:
    """Time files on this machine for another one, whose target is remote:HOST:PORT.

    Where only onnxruntime and numpy are installed: python -m nas.agent
    """
    from nas.agent.serve import Settings, serve

    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "folder": folder,
        "storage_gb": storage_gb,
        "token_file": token_file,
    }
    serve(Settings(**{name: value for name, value in given.items() if value is not None}), say)
