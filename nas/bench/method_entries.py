"""Training methods that are compared, named with settings: "delayed:largest_share=0.3"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.prepare.inputs import AMPLE_CLASSES, check_names, method_of
from nas.run.config import Config
from nas.system.text import setting
from search_spaces import UserError, load_space
from supernets.methods._base import METHODS

SIDE = 32
"""Of images, pixels, of a space that methods are tried on before images are known."""


@dataclass(frozen=True)
class MethodEntry:
    """A training method with settings.

    Attributes:
        name: As it was asked for.
        config: Of a search that trains with it.
    """

    name: str
    config: Config

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return self.name.replace(":", "+").replace("/", "_")


def entries_of(names: Sequence[str], config: Config) -> list[MethodEntry]:
    """Methods by their names; if there are none all that the task can have.

    Args:
        names: With settings of the method or of the plan of training.
        config: What they share.

    Raises:
        UserError: If there is no such method or setting, or two are the same.
    """
    found: dict[tuple[object, ...], MethodEntry] = {}
    for name in names or _offered(config):
        method, *texts = name.split(":")
        own = dict(_setting(name, text) for text in texts)
        entry = MethodEntry(name, replace(config, method=method, set={**config.set, **own}))
        check_names(entry.config)
        other = found.setdefault((method, *sorted(entry.config.set.items())), entry)
        if other is not entry:
            raise UserError(
                f"methods '{other.name}' and '{name}' are the same. Name one, and ask for more "
                "--seeds to see how far chance goes."
            )
    return list(found.values())


def _offered(config: Config) -> list[str]:
    """All methods; where labels are images, without those that need classes."""
    if not config.task:
        return METHODS.names()
    space = load_space(config.space, resolution=SIDE, channels=1, num_classes=AMPLE_CLASSES)
    methods = {name: method_of(replace(config, method=name), space) for name in METHODS.names()}
    return [name for name, method in methods.items() if not method.needs_classes]


def _setting(name: str, text: str) -> tuple[str, float | int | str]:
    key, _, value = text.partition("=")
    if not key or not value:
        raise UserError(
            f"method '{name:.60}': setting '{text:.40}' has no value. Write a setting as "
            "name=value, such as 'delayed:largest_share=0.3'."
        )
    return setting(text)
