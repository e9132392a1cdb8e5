"""Plug-in files of the user's: registered like our own, from anywhere.

A plug-in file decorates classes with `@CONTROLLERS.register` and its like, one of a kind; its name
is theirs, as inside of the packages. Its code is run once per process. Processes that work for this
one are handed the text (`loaded_plugins`, `load_plugin_texts`), and so need no file.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from search_spaces._errors import UserError
from search_spaces._registry import REGISTRIES, Registry, forget, stem_of
from search_spaces._user_files import as_user_error, execute, read_source

EXAMPLE = "decorate a class with `@CONTROLLERS.register`, for example"
CHECK = "Mend the file; `nas plugin check` runs it alone."


class PluginFile(NamedTuple):
    """A plug-in file, as text that goes to other processes.

    Attributes:
        name: The file's, without ".py", with "_" for "-".
        text: What it says.
        place: Where it was read.
    """

    name: str
    text: str
    place: str


_loaded: dict[str, PluginFile] = {}


def load_plugins(files: Iterable[str | Path]) -> None:
    """Run plug-in files, those that have not been, so that what they register is found by name.

    Raises:
        UserError: If a file is missing, fails, registers nothing, or takes a name that is taken.
    """
    for file in map(Path, files):
        _load(_read(file))


def loaded_plugins() -> tuple[PluginFile, ...]:
    """The plug-in files that were run in this process, for another one's `load_plugin_texts`."""
    return tuple(_loaded.values())


def load_plugin_texts(plugins: Iterable[Sequence[str]]) -> None:
    """Run what another process has loaded, unless it has been run in this one.

    Args:
        plugins: Its `loaded_plugins`; JSON's lists of their fields will do.

    Raises:
        UserError: As `load_plugins`.
    """
    for plugin in plugins:
        _load(PluginFile(*plugin))


def _load(plugin: PluginFile) -> None:
    known = _loaded.get(plugin.name)
    if known is not None:
        _check_same(known, plugin)
        return
    module = _module(plugin.name)
    with as_user_error(f"plug-in '{plugin.place}'", plugin.place, CHECK):
        if not plugin.name.isidentifier() or plugin.name.startswith("_"):
            raise UserError(
                f"'{plugin.name}' is no name. Call the file by letters, digits, '-' and '_', "
                "a letter first."
            )
        try:
            execute(module, plugin.text, plugin.place)
            if not registrations(plugin.name):
                raise UserError(f"it registers nothing. In it, {EXAMPLE}.")
        except BaseException:
            forget(module)
            raise
    _loaded[plugin.name] = plugin


def registrations(name: str) -> list[tuple[Registry, type]]:
    """The classes that a plug-in file has registered, each with its registry."""
    found = ((registry, registry.from_module(_module(name))) for registry in REGISTRIES)
    return [(registry, cls) for registry, cls in found if cls is not None]


def plugin_name(file: Path) -> str:
    """What a plug-in file's classes are called: its name without ".py", with "_" for "-"."""
    return stem_of(file.stem)


def _read(file: Path) -> PluginFile:
    what = f"plug-in '{file}'"
    if not file.is_file() or file.suffix != ".py":
        fact = "is no file" if not file.is_file() else "does not end in .py"
        raise UserError(
            f"{what} {fact}. Name a Python file: in it, {EXAMPLE}. A run that used a plug-in keeps "
            "a copy in its folder plugins."
        )
    with as_user_error(what, str(file), CHECK):
        return PluginFile(plugin_name(file), read_source(file), str(file))


def _check_same(known: PluginFile, plugin: PluginFile) -> None:
    if known.text != plugin.text:
        raise UserError(
            f"plug-in '{plugin.place}' differs from '{known.place}', which has its name and is "
            "loaded. Restore the file, rename one of the two, or begin a new run with --out."
        )


def _module(name: str) -> str:
    return f"{__name__}.{name}"
