"""The network that `nas compress` was given: traced once, kept by the run, and read back.

brought.safetensors    its graph as data, and its weights
"""

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from torch import nn

from compress.bring._input import InputRule, input_rule_of
from compress.bring._load import load_network, load_weights
from compress.bring.bring import (
    Brought,
    bring,
    largest_slots,
    network_as_brought,
    read_brought,
    save_brought,
    space_of,
)
from compress.bring.files import bring_file, input_rule_in, is_model_file
from nas.data import DataSet
from nas.run.config import Config
from nas.run.own_files import BROUGHT
from nas.scoring.scorer import Scorer
from search_spaces import Resolution, SearchSpace, UserError, task_of
from supernets.supernet import Supernet

KEPT = ".safetensors"
OF_IMAGES = ("resolution", "mean", "std")
"""Settings that a model's own configuration may give."""

JUDGED = 1000
"""Images that say how good a network is as it was brought."""


def brought_space(
    config: Config, *, resolution: Resolution, channels: int, num_classes: int
) -> SearchSpace:
    """The space of the network that was brought.

    Raises:
        UserError: If it cannot be traced, or its outputs are not one per class.
    """
    found = brought_network(config, resolution=resolution, channels=channels)
    network = found.network
    if network.num_classes != num_classes:
        raise UserError(
            f"model '{config.model}' has {network.num_classes} outputs, and data '{config.data}' "
            f"{num_classes} classes. Bring a model that was trained for these classes."
        )
    if (network.resolution, network.channels) != (resolution, channels):
        raise UserError(
            f"model '{config.model}' was traced for images of {network.channels} channels and "
            f"{network.resolution} px, and data '{config.data}' has {channels} and {resolution}. "
            f"Give --resolution {network.resolution}."
        )
    return space_of(found)


def brought_network(config: Config, *, resolution: Resolution, channels: int) -> Brought:
    """The network that was brought; in one process it is traced once."""
    return _brought(config.model, config.weights, resolution, channels, _stamps(config))


def with_models_rule(config: Config) -> Config:
    """The configuration, with what the model's own says of images where the user says nothing."""
    if not config.model:
        return config
    rule = _rule(config.model, config.weights, _stamps(config))
    given = {name: getattr(config, name) or getattr(rule, name) for name in OF_IMAGES}
    return dataclasses.replace(config, **given)


def _stamps(config: Config) -> tuple[tuple[int, int], ...]:
    files = (config.model.rpartition(":")[0] or config.model, config.weights)
    return tuple(_stamp(Path(file)) for file in files)


def _stamp(path: Path) -> tuple[int, int]:
    """What tells a file from what it was before."""
    if not path.is_file():
        return 0, 0
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _brought(
    model: str,
    weights: str,
    resolution: Resolution,
    channels: int,
    stamps: tuple[tuple[int, int], ...],
) -> Brought:
    if model.endswith(KEPT):
        return read_brought(Path(model))
    if is_model_file(model):
        if weights:
            raise UserError(
                f"model '{model}' has its weights, and --weights is '{weights}'. Leave it out, or "
                "give the function that makes the network: FILE.py:FUNCTION."
            )
        return bring_file(Path(model), channels=channels, resolution=resolution)
    name = model.rpartition(":")[2]
    try:
        return bring(name, _made(model, weights, stamps), channels=channels, resolution=resolution)
    finally:
        _made.cache_clear()  # it is as large as its weights


@lru_cache(maxsize=4)
def _rule(model: str, weights: str, stamps: tuple[tuple[int, int], ...]) -> InputRule:
    if model.endswith(KEPT):
        found = read_brought(Path(model))
        return dataclasses.replace(found.input, resolution=found.network.resolution)
    if is_model_file(model):
        return input_rule_in(Path(model))
    return input_rule_of(_made(model, weights, stamps))


@lru_cache(maxsize=1)
def _made(model: str, weights: str, stamps: tuple[tuple[int, int], ...]) -> nn.Module:
    """What the user's function gives, with the weights; it is called once."""
    network = load_network(model)
    if weights:
        load_weights(network, Path(weights))
    return network


def keep_brought(run: Path, config: Config, data: DataSet) -> None:
    """Writes the network into the run, or sees that it is the one that the run began with.

    Raises:
        UserError: If its graph or its weights have changed.
    """
    if not config.model:
        return
    found = brought_network(config, resolution=data.resolution, channels=data.channels)
    kept = run / BROUGHT
    if not kept.exists():
        save_brought(found, kept)
        return
    before = read_brought(kept)
    same = before.weights.keys() == found.weights.keys() and all(
        tensor.equal(found.weights[name]) for name, tensor in before.weights.items()
    )
    if not same or before.network != found.network:
        raise UserError(
            f"model '{config.model}' is not the one that run '{run}' began with, which is kept in "
            f"its {BROUGHT}. Begin a new run with --out, or restore the model."
        )


def in_words(config: Config, space: SearchSpace, data: DataSet) -> list[str]:
    """What the network takes, how good it is as it was brought, and what of it stays as it is.

    Args:
        config: As the user gave it.
        space: Of the network.
        data: Some images of the search split are looked at.
    """
    brought = brought_network(config, resolution=data.resolution, channels=data.channels)
    task, scorer = task_of(data.task), Scorer(Supernet(space), data, JUDGED)
    found = scorer.quality(network_as_brought(largest_slots(space), brought.weights))
    value, guessed = found[task.shown.name], data.guessing[0]
    groups = len({group for part in brought.network.parts for group in part.groups})
    said = [
        *(f"model '{brought.name}': {note}" for note in brought.notes),
        _images_in_words(config, brought.input, data),
        f"model '{brought.name}': {len(brought.network.parts)} parts, {groups} prunable groups, "
        f"{task.shown.title} {task.shown.text(value)} of {scorer.num_images} search images",
    ]
    if not found[task.loss.name] < guessed:
        said.append(
            "that is no better than guessing: is the normalisation as it was in training (--mean, "
            "--std), the resolution, the order of the classes?"
        )
    for operation, place in brought.left_alone:
        where = f" in '{place}'" if place else ""
        said.append(f"'{operation}'{where} stays as it is, and so does what it reads")
    return said


def _images_in_words(config: Config, rule: InputRule, data: DataSet) -> str:
    """The size and normalisation of images, and who says so."""

    def source(name: str) -> str:
        if getattr(config, name):
            return f"--{name}"
        return f"the model's {rule.places[name]}" if name in rule.places else "the data's own"

    values = {
        "resolution": f"{data.resolution} px",
        "mean": f"mean {_listed(data.mean)}",
        "std": f"std {_listed(data.std)}",
    }
    return "images: " + ", ".join(f"{values[name]} ({source(name)})" for name in OF_IMAGES)


def _listed(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:.4g}" for number in numbers)


def with_input_rule(config: Config, data: DataSet) -> DataSet:
    """The data set with the normalisation that the model was trained with.

    Raises:
        UserError: If there are not as many numbers as channels.
    """
    given = {name: getattr(config, name) for name in ("mean", "std") if getattr(config, name)}
    for name, numbers in given.items():
        if len(numbers) not in (1, data.channels):
            raise UserError(
                f"{name} is {list(numbers)}, and data '{config.data}' has {data.channels} "
                "channels. Give one number, or one per channel."
            )
    numbers = {
        name: tuple(numbers) * (data.channels if len(numbers) == 1 else 1)
        for name, numbers in given.items()
    }
    return dataclasses.replace(data, **numbers)
