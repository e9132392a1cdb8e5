"""What of the user's a run needs and keeps: its space file and plug-ins, and arrays as its data.

    space.py, plugins/NAME.py     what they said when the run began
    data.npz                      images and labels that a Python program gave as arrays

The command that began a run is refused if a file says something else now. Commands that are given
the run (`nas finetune RUN`, `--supernet RUN`) use what it keeps, whatever became of the files. A
search with `--supernet RUN` records where RUN's files were, so that it does not depend on RUN.

A plug-in must stand alone: commands that read networks load only those that the networks name.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from nas.run.config import Config
from nas.run.config_file import checked_setting, read_config, read_toml
from nas.system.files import make_folder, write_text
from search_spaces import (
    UserError,
    is_space_file,
    load_plugins,
    loaded_plugins,
    plugin_name,
    public_name,
    read_source,
)

CONFIG, SPACE_FILE, PLUGINS, DATA_FILE = "config.toml", "space.py", "plugins", "data.npz"
BROUGHT = "brought.safetensors"


def keep_own_files(run: Path, config: Config) -> None:
    """Copy the space file and plug-ins of a configuration into the run, or compare them.

    Raises:
        UserError: If one has changed since the run began.
    """
    if is_space_file(config.space):
        text = read_source(Path(config.space))
        _keep(run, SPACE_FILE, f"space file '{config.space}'", text, "run")
    keep_plugins(run, config.plugins, "run")


def keep_plugins(folder: Path, files: Iterable[str], kind: str) -> None:
    """Copy plug-ins, which are loaded, into a folder, or compare them.

    Args:
        folder: Of a run or a sweep.
        files: Of the plug-ins.
        kind: What the folder is.

    Raises:
        UserError: If one has changed since that began.
    """
    named = _by_name(files)
    for plugin in loaded_plugins():
        if plugin.name in named:
            name, what = f"{PLUGINS}/{plugin.name}.py", f"plug-in '{plugin.place}'"
            _keep(folder, name, what, plugin.text, kind)


def with_kept_files(run: Path, config: Config) -> Config:
    """The configuration of a run with what it keeps in place of the user's files."""
    has_space = is_space_file(config.space) and (run / SPACE_FILE).is_file()
    has_model = bool(config.model) and (run / BROUGHT).is_file()
    has_data = Path(config.data).name == DATA_FILE and (run / DATA_FILE).is_file()
    return dataclasses.replace(
        config,
        space=str((run / SPACE_FILE).resolve()) if has_space else config.space,
        data=str((run / DATA_FILE).resolve()) if has_data else config.data,
        plugins=tuple(str(file.resolve()) for file in kept_plugins(run)),
        model=str((run / BROUGHT).resolve()) if has_model else config.model,
    )


def kept_model(run: Path, config: Config) -> Path | None:
    """The file of the network that was brought; None for a search of a space."""
    return run / BROUGHT if config.model else None


def with_unchanged_files(run: Path, config: Config) -> Config:
    """The configuration of a run with what it keeps in place of the user's files that changed.

    So it is of plug-ins that have gone. A space file stays, because a run's default folder is
    called after it; `with_space_at_hand` finds the copy.
    """
    kept, recorded = with_kept_files(run, config), _by_name(config.plugins)
    has_space = _says_the_same(config.space, kept.space) or not Path(config.space).is_file()
    plugins = ((recorded.get(plugin_name(Path(copy)), copy), copy) for copy in kept.plugins)
    return dataclasses.replace(
        config,
        space=config.space if has_space else kept.space,
        data=kept.data,
        plugins=tuple(file if _says_the_same(file, copy) else copy for file, copy in plugins),
    )


def with_space_at_hand(run: Path, config: Config) -> Config:
    """The configuration of a search with a given supernet, with its space file where it is.

    Where it has gone, that is the copy in the run, or else in the one of the supernet, if that run
    was given this very file.
    """
    if not config.supernet or not is_space_file(config.space) or Path(config.space).is_file():
        return config
    for folder in (run, Path(config.supernet)):
        copy = folder / SPACE_FILE
        if copy.is_file() and read_config(folder / CONFIG).get("space") == config.space:
            return dataclasses.replace(config, space=str(copy.resolve()))
    return config


def kept_plugins(run: Path) -> list[Path]:
    """The plug-in files that a run keeps, in the order in which it was given them; others after.

    None where a folder has no config.toml: it is no run, and its files are not for us to execute.

    Raises:
        UserError: If config.toml is damaged.
    """
    files = sorted((run / PLUGINS).glob("*.py"))
    if not files or not (run / CONFIG).is_file():
        return []
    where = f"configuration '{run / CONFIG}'"
    given = read_toml(run / CONFIG, where).get("plugins", [])
    order = list(_by_name(checked_setting("plugins", given, where)))
    return sorted(files, key=lambda f: order.index(f.stem) if f.stem in order else len(order))


def load_named(run: Path, text: str) -> None:
    """Load those of a run's plug-ins that a JSON text names, such as the operators of its space.

    Raises:
        UserError: If another file of such a name is loaded.
    """
    text = public_name(text)  # which may spell names like files
    load_plugins(f for f in kept_plugins(run) if f'"{public_name(f.stem)}"' in text)


def _by_name(files: Iterable[str]) -> dict[str, str]:
    return {plugin_name(Path(file)): file for file in files}


def _says_the_same(file: str, copy: str) -> bool:
    try:
        return read_source(Path(file)) == read_source(Path(copy))
    except (OSError, UnicodeDecodeError):
        return False


def _keep(folder: Path, name: str, what: str, text: str, kind: str) -> None:
    kept = folder / name
    if not kept.exists():
        make_folder(kept.parent)
        write_text(kept, text)
    elif read_source(kept) != text:
        raise UserError(
            f"{what} is not the one that {kind} '{folder}' began with, which is kept in its "
            f"{name}. Begin a new {kind} with --out, or restore the file."
        )
