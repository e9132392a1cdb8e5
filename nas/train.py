"""`nas train`: a supernet alone, with all of the time, for any number of searches afterwards.

The run is that of a search up to its supernet: profile, trimmed space, plan, training. plan.json
says `is_all` where nothing was to follow; a run goes on with the command that made its plan.
"""

import shlex
from pathlib import Path
from typing import Any

from nas.prepare.train_supernet import begin
from nas.run.config import Config
from nas.run.directory import WEIGHTS, read_config_of
from nas.system.files import read_json
from nas.system.reporter import Reporter
from search_spaces import UserError

PLAN = "plan.json"
EXAMPLE_TIME = "10m"


def train_supernet(config: Config, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Train a supernet, or continue to; nothing is left to do where it is trained.

    Args:
        config: What was asked.
        out: The run directory.
        reporter: Told how far it is.

    Returns:
        `run`, `supernet` (file of its weights), `steps` and `next`, a command that searches it.

    Raises:
        UserError: If what was asked cannot be done, or the directory is a search's.
        OSError: If a disk is full or read-only; the same call continues.
    """
    refuse_search_run(config, out)
    begun = begin(config, out, reporter, is_all=True)
    return {
        "run": str(out),
        "supernet": str(out / WEIGHTS),
        "steps": begun.train_plan.steps,
        "next": search_command(out, config),
    }


def refuse_search_run(config: Config, out: Path) -> None:
    """See that a supernet is to be trained, and that a directory is not one of `nas search`.

    Args:
        config: What was asked.
        out: The run directory.

    Raises:
        UserError: If one of both is not so.
    """
    if config.supernet:
        raise UserError(
            f"supernet is '{config.supernet}', and `nas train` trains one. Leave it out, or search "
            "it with `nas search`."
        )
    if (out / PLAN).exists() and not is_supernet_run(out):
        raise UserError(
            f"run '{out}' is a search, which trains its supernet in a part of its time. Continue "
            "it with `nas search`, or name another directory with --out."
        )


def is_supernet_run(path: Path) -> bool:
    """Whether all of a run's time goes into its supernet."""
    return (path / PLAN).exists() and bool(read_json(path / PLAN).get("is_all", False))


def search_command(path: Path, config: Config) -> str:
    """The command that searches the supernet of a run within the budgets it was trained for."""
    words = ["nas", "search", "--supernet", str(path)]
    for budget in config.budget:
        words += ["--budget", budget]
    return shlex.join([*words, "--time", EXAMPLE_TIME])


def refuse_supernet_run(path: Path) -> None:
    """See that a directory is not one of `nas train`.

    Raises:
        UserError: If it is; with the command that searches its supernet.
    """
    if is_supernet_run(path):
        is_trained = (path / WEIGHTS).exists()
        first = "" if is_trained else "Finish it with its `nas train` first. "
        raise UserError(
            f"run '{path}' is one of `nas train`, whose time went into the supernet. {first}"
            f"Search it in a directory of its own: {search_command(path, read_config_of(path))}"
        )
