"""All kinds of plug-ins, what each is checked for, and what there is of each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from compress.calibration._base import CALIBRATIONS
from compress.quantize._base import QUANTIZATIONS
from nas.allocations import ALLOCATIONS
from nas.controllers import CONTROLLERS
from nas.data import DATA
from nas.executors import EXECUTORS
from nas.targets import TARGETS
from nas.testing import (
    allocations,
    augmentations,
    calibration,
    channel_attentions,
    channel_parts,
    controllers,
    criteria,
    data,
    executors,
    formats,
    methods,
    networks,
    norms,
    operators,
    optimizers,
    patterns,
    targets,
    tasks,
    trunk,
)
from search_spaces import (
    FORMATS,
    PATTERNS,
    SPACES,
    TASKS,
    Registry,
    import_all_installed,
    load_plugins,
    load_space,
    plugin_name,
    public_name,
)
from search_spaces._plugins import registrations
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_parts import CHANNEL_PARTS
from search_spaces.networks._base import NETWORKS
from search_spaces.norms import NORMS
from search_spaces.operators import OPERATORS
from search_spaces.trunk._base import TRUNK
from supernets.augmentations import AUGMENTATIONS
from supernets.blocks import BLOCKS
from supernets.channel_attentions import CHANNEL_ATTENTION_LAYERS
from supernets.channel_parts import ELASTIC_CHANNEL_PARTS
from supernets.criteria._base import CRITERIA
from supernets.methods._base import METHODS
from supernets.mixers import MIXERS
from supernets.norms import NORM_LAYERS
from supernets.optimizers import OPTIMIZERS
from supernets.tasks._base import LOSSES
from supernets.trunk._base import TRUNK_BLOCKS

Check = Callable[[str], None]


class Kind(NamedTuple):
    """A kind of plug-in.

    Attributes:
        registry: Of its plug-ins.
        checks: Of one by its name; none where another kind's cover it.
    """

    registry: Registry
    checks: tuple[Check, ...] = ()


def check_it_builds(name: str) -> None:
    """It builds a space for images of 32 px."""
    load_space(name, resolution=32, channels=3, num_classes=10)


def check_it_builds_for_images_that_are_not_square(name: str) -> None:
    """It builds a space for images of 24 x 40 px."""
    load_space(name, resolution="24x40", channels=3, num_classes=10)


KINDS = (
    Kind(SPACES, (check_it_builds, check_it_builds_for_images_that_are_not_square)),
    Kind(OPERATORS, operators.CHECKS),
    Kind(MIXERS),
    Kind(BLOCKS),
    Kind(NORMS, norms.CHECKS),
    Kind(NORM_LAYERS),
    Kind(CHANNEL_PARTS, channel_parts.CHECKS),
    Kind(ELASTIC_CHANNEL_PARTS),
    Kind(CHANNEL_ATTENTIONS, channel_attentions.CHECKS),
    Kind(CHANNEL_ATTENTION_LAYERS),
    Kind(TRUNK, trunk.CHECKS),
    Kind(TRUNK_BLOCKS),
    Kind(NETWORKS, networks.CHECKS),
    Kind(FORMATS, formats.CHECKS),
    Kind(QUANTIZATIONS),
    Kind(PATTERNS, patterns.CHECKS),
    Kind(CALIBRATIONS, calibration.CHECKS),
    Kind(CRITERIA, criteria.CHECKS),
    Kind(TASKS, tasks.CHECKS),
    Kind(LOSSES),
    Kind(METHODS, methods.CHECKS),
    Kind(OPTIMIZERS, optimizers.CHECKS),
    Kind(AUGMENTATIONS, augmentations.CHECKS),
    Kind(ALLOCATIONS, allocations.CHECKS),
    Kind(CONTROLLERS, controllers.CHECKS),
    Kind(EXECUTORS, executors.CHECKS),
    Kind(TARGETS, targets.CHECKS),
    Kind(DATA, data.CHECKS),
)
"""A new registry needs a line here."""


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        kind: Of the plug-in.
        name: Of the plug-in.
        check: What it must keep to.
        failure: What it does instead; "" if it keeps to it.
    """

    kind: str
    name: str
    check: str
    failure: str


def check_plugin(file: Path) -> Iterator[Finding]:
    """Load a plug-in file and run all checks of all that it registers.

    Raises:
        UserError: If it cannot be loaded.
    """
    load_plugins([file])
    name = plugin_name(file)
    kinds = {id(registry) for registry, _ in registrations(name)}
    public = public_name(name)
    for kind in KINDS:
        if id(kind.registry) in kinds:
            for check in kind.checks:
                failure = _failure(check, public)
                yield Finding(kind.registry.kind, public, _first_line(check), failure)


def listing() -> dict[str, dict[str, str]]:
    """By kind and name, the first line of what every plug-in says of itself, or why it fails."""
    broken = import_all_installed()
    found = {
        kind.registry.kind: {name: _about(kind.registry, name) for name in kind.registry.names()}
        for kind in KINDS
    }
    return found | ({"installed plug-in that fails": broken} if broken else {})


def _about(registry: Registry, name: str) -> str:
    try:
        return _first_line(registry.get(name))
    except ImportError as error:
        return f"cannot be used: {error}"


def _failure(check: Check, name: str) -> str:
    try:
        check(name)
    except AssertionError as error:
        return str(error) or "an assertion failed"
    except Exception as error:  # a plug-in may raise anything
        return f"{type(error).__name__}: {error}"
    return ""


def _first_line(described: object) -> str:
    text = (described.__doc__ or "").strip().partition("\n")[0]
    return text.rstrip(".")
