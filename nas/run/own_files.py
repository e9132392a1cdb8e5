"""Python files of the user's that a run needs, its space file and plug-ins: kept with the run.

    space.py, plugins/NAME.py     what they said when the run began

The command that began a run is refused if a file says something else now. Commands that are given
the run (`nas finetune RUN`, `--supernet RUN`) use what it keeps, whatever became of the files.
"""

import dataclasses
from pathlib import Path

from nas.run.config import Config
from nas.system.files import make_folder, write_text
from search_spaces import (
    UserError,
    is_space_file,
    load_plugins,
    loaded_plugins,
    plugin_name,
    read_source,
)

SPACE_FILE, PLUGINS = "space.py", "plugins"


def keep_own_files(run: Path, config: Config) -> None:
    """Copy the space file and all plug-ins of this process into the run, or compare them.

    Raises:
        UserError: If one has changed since the run began.
    """
    if is_space_file(config.space):
        _keep(run, SPACE_FILE, f"space file '{config.space}'", read_source(Path(config.space)))
    for plugin in loaded_plugins():
        _keep(run, f"{PLUGINS}/{plugin.name}.py", f"plug-in '{plugin.place}'", plugin.text)


def with_kept_files(run: Path, config: Config) -> Config:
    """The configuration of a run with what it keeps in place of the user's files."""
    has_space = is_space_file(config.space) and (run / SPACE_FILE).is_file()
    return dataclasses.replace(
        config,
        space=str((run / SPACE_FILE).resolve()) if has_space else config.space,
        plugins=tuple(str(file.resolve()) for file in kept_plugins(run)),
    )


def kept_plugins(run: Path) -> list[Path]:
    """The plug-in files that a run keeps."""
    return sorted((run / PLUGINS).glob("*.py"))


def load_named(run: Path, text: str) -> None:
    """Load those of a run's plug-ins that a JSON text names, such as the operators of its space.

    Raises:
        UserError: If another file of such a name is loaded.
    """
    files = kept_plugins(run)
    load_plugins(f for f in files if f'"{plugin_name(f).replace("_", "-")}"' in text)


def _keep(run: Path, name: str, what: str, text: str) -> None:
    kept = run / name
    if not kept.exists():
        make_folder(kept.parent)
        write_text(kept, text)
    elif read_source(kept) != text:
        raise UserError(
            f"{what} is not the one that run '{run}' began with, which is kept in its {name}. "
            "Begin a new run with --out, or restore the file."
        )
