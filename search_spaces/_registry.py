"""Finding a plug-in by its file name.

A plug-in is one file of its package's folder whose name does not start with an underscore. The
file name is the plug-in's name in configs and on the command line ("digit-pairs" is
digit_pairs.py). Only the file that is asked for is imported, so an absent optional dependency hurts
nobody else.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, TypeVar

from search_spaces._errors import UserError, did_you_mean

Plugin = TypeVar("Plugin", bound=type)


class Registry:
    """The plug-ins of one package folder."""

    def __init__(self, package: str, kind: str) -> None:
        self._package = package
        self._kind = kind
        self._classes: dict[str, type] = {}

    def register(self, cls: Plugin) -> Plugin:
        """Class decorator: makes `cls` the plug-in of the file it stands in."""
        self._classes[cls.__module__.rpartition(".")[2]] = cls
        return cls

    def names(self) -> list[str]:
        """The names that may be asked for, sorted."""
        spec = importlib.util.find_spec(self._package)
        assert spec is not None
        assert spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0])
        files = (file.stem for file in folder.glob("*.py"))
        return sorted(stem.replace("_", "-") for stem in files if not stem.startswith("_"))

    def get(self, name: str) -> Any:
        """The class registered in the file called `name`.

        Raises:
            UserError: If there is no such file.
        """
        stem = name.replace("-", "_")
        if stem.replace("_", "-") not in self.names():
            place = f"{self._package.replace('.', '/')}/{stem}.py"
            raise UserError(
                f"unknown {self._kind} '{name}'. {did_you_mean(name, self.names())} "
                f"To add one, write {place}."
            )
        if stem not in self._classes:
            importlib.import_module(f"{self._package}.{stem}")
        return self._classes[stem]
