"""Finding a plug-in by its file name.

A plug-in is one file of its package's folder whose name does not start with an underscore. The
file name is the plug-in's name in configs and on the command line ("digit-pairs" is
digit_pairs.py). Only the file that is asked for is imported, so an absent optional dependency hurts
nobody else.

From outside, files register by the same decorators (`search_spaces/_plugins.py`), and so do modules
of installed packages that the entry-point group `pareto_nas.plugins` names. Such a module is
imported only when its own name, the last part of the module's, is asked for and no file of ours has
it, whatever its kind.
"""

import importlib
import importlib.util
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from search_spaces._errors import UserError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Plugin = TypeVar("Plugin", bound=type)

GROUP = "pareto_nas.plugins"
"""Entry points of installed packages; each names a module that registers."""

REGISTRIES: list["Registry"] = []
"""All of this process."""


class Registry:
    """The plug-ins of one package folder, and those from outside that register here.

    Args:
        package: Of the folder.
        kind: What a plug-in is called in messages.
        bases: Its class derives from one of these.
    """

    def __init__(self, package: str, kind: str, *bases: type) -> None:
        self.kind = kind
        self._package = package
        self._bases = bases
        self._classes: dict[str, type] = {}
        REGISTRIES.append(self)

    def register(self, cls: Plugin) -> Plugin:
        """Class decorator: makes `cls` the plug-in of the file it stands in.

        Raises:
            UserError: If it is no complete class of this kind, or it is one from outside and its
                name is taken.
        """
        package, _, stem = cls.__module__.rpartition(".")
        self._check_kind(cls, public_name(stem))
        if package != self._package:
            self._check_is_new(stem, cls.__module__)
        self._classes[stem] = cls
        return cls

    def names(self) -> list[str]:
        """Names of the folder's files and of what was registered from outside, sorted."""
        return sorted(public_name(stem) for stem in {*self._own, *self._classes})

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        """Whether there is such a plug-in; an installed one of that name is imported for it."""
        stem = stem_of(str(name))
        if stem in self._own or stem in self._classes:
            return True
        if stem.isidentifier() and not _is_ours(stem):
            import_installed(stem)
        return stem in self._classes

    def get(self, name: str) -> Any:
        """The class registered in the file called `name`.

        Raises:
            UserError: If there is no such file, or it belongs to an installed package and fails.
        """
        stem = stem_of(name)
        if name not in self:
            raise self._unknown(name)
        if stem not in self._classes:
            importlib.import_module(f"{self._package}.{stem}")
        return self._classes[stem]

    def from_module(self, module: str) -> type | None:
        """What a module has registered here."""
        found = self._classes.get(module.rpartition(".")[2])
        return found if found is not None and found.__module__ == module else None

    def outside(self) -> list[str]:
        """Names of what was registered from outside."""
        return [
            public_name(stem)
            for stem, cls in self._classes.items()
            if cls.__module__ != f"{self._package}.{stem}"
        ]

    def forget(self, module: str) -> None:
        """Undo what a module has registered."""
        self._classes = {s: cls for s, cls in self._classes.items() if cls.__module__ != module}

    @cached_property
    def _own(self) -> frozenset[str]:
        spec = importlib.util.find_spec(self._package)
        assert spec is not None
        assert spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0])
        stems = (file.stem for file in folder.glob("*.py"))
        return frozenset(stem for stem in stems if not stem.startswith("_"))

    def _check_kind(self, cls: type, name: str) -> None:
        what = f"class '{cls.__name__}' is registered as {self.kind} '{name}'"
        if not issubclass(cls, self._bases):
            kinds = [r.kind for r in REGISTRIES if issubclass(cls, r._bases)]
            found = f"is of the kind '{kinds[0]}'" if kinds else "is none"
            bases = " or ".join(base.__name__ for base in self._bases)
            raise UserError(
                f"{what} and {found}. It must derive from {bases}. Change the decorator or the "
                "base class."
            )
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            raise UserError(f"{what} and lacks {', '.join(missing)}. Define what is missing.")

    def _check_is_new(self, stem: str, module: str) -> None:
        own = f"{self._package}.{stem}" if stem in self._own else ""
        taken = self._classes[stem].__module__ if stem in self._classes else own
        if taken == module:
            raise UserError(
                f"it registers two classes as {self.kind} '{public_name(stem)}'. Register one."
            )
        if taken:
            raise UserError(
                f"there is a {self.kind} '{public_name(stem)}' already, in {taken}. Give the file "
                "another name: that is the plug-in's."
            )

    def _unknown(self, name: str) -> UserError:
        failures = import_all_installed()
        outside = sorted({name for registry in REGISTRIES for name in registry.outside()})
        plugins = f"Plug-ins loaded: {', '.join(outside)}. " if outside else ""
        if failures:
            plugins += f"Installed plug-ins that fail: {', '.join(failures)}. "
        place = f"{self._package.replace('.', '/')}/{stem_of(name)}.py"
        return UserError(
            f"unknown {self.kind} '{name}'. {did_you_mean(name, self.names())} {plugins}"
            f"To add one, write {place}, or name a plug-in file with --plugin FILE.py."
        )


@cache
def installed_modules() -> dict[str, list["EntryPoint"]]:
    """Entry points of installed packages, one per module, by the last part of its name."""
    from importlib.metadata import entry_points  # which takes a while, and is seldom needed

    found: dict[str, list[EntryPoint]] = {}
    for point in {point.module: point for point in entry_points(group=GROUP)}.values():
        found.setdefault(stem_of(point.module.rpartition(".")[2]), []).append(point)
    return found


def import_installed(stem: str) -> None:
    """Import the module of that name that an installed package declares, if one does.

    Raises:
        UserError: If its code fails, or several packages declare one.
    """
    points = installed_modules().get(stem, [])
    if len(points) > 1:
        places = " and ".join(sorted(point.module + _package_of(point) for point in points))
        raise UserError(
            f"installed plug-in '{public_name(stem)}' is {places}. Uninstall all packages but one."
        )
    for point in points:
        try:
            importlib.import_module(point.module)
        except (Exception, SystemExit) as error:  # others' code may raise anything
            forget(point.module)
            raise UserError(
                f"installed plug-in '{public_name(stem)}'{_package_of(point)} failed with "
                f"{type(error).__name__}: {error}. Mend or uninstall the package."
            ) from error


def import_all_installed() -> dict[str, str]:
    """Import what all installed packages declare, for lists; what cannot be used, by name."""
    failures = {}
    for stem in installed_modules():
        try:
            if _is_ours(stem):
                raise UserError("it has the name of one of ours, and so is never imported")
            import_installed(stem)
        except UserError as error:
            failures[public_name(stem)] = str(error)
    return failures


def forget(module: str) -> None:
    """Undo all that a module has registered anywhere."""
    for registry in REGISTRIES:
        registry.forget(module)


def stem_of(name: str) -> str:
    """The file of a plug-in's name, without ".py": "digit_pairs" of "digit-pairs"."""
    return name.replace("-", "_")


def public_name(stem: str) -> str:
    """The inverse of `stem_of`: a plug-in's name as lists and messages have it."""
    return stem.replace("_", "-")


def _is_ours(stem: str) -> bool:
    return any(stem in registry._own for registry in REGISTRIES)


def _package_of(point: "EntryPoint") -> str:
    return f" of package '{point.dist.name}'" if point.dist else ""
