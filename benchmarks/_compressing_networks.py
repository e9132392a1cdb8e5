"""Networks that `compressing.py` brings: those of `tests/compress/bring/models.py`.

Each is written as a file with a function, which is what `nas compress` is given.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from compress.bring._load import load_network
from search_spaces import UserError, did_you_mean

MODELS = Path(__file__).parents[1] / "tests/compress/bring/models.py"

NETWORKS: Mapping[str, str] = {
    "resnet20": "models.ResNet(3, 16, {channels}, {classes})",
    "resnet56": "models.ResNet(9, 16, {channels}, {classes})",
    "mobilenet": "models.MobileNet({channels}, {classes})",
    "convnext": "models.ConvNeXt({channels}, {classes})",
    "vit": "models.ViT({channels}, {classes}, {side})",
    "mixer": "models.Mixer({channels}, {classes}, {side})",
}
"""By name, how each is made."""

HEADS = {"vit": 4}
"""Heads of attention, which Torch-Pruning must be told."""

TEXT = """from importlib.util import module_from_spec, spec_from_file_location

spec = spec_from_file_location("networks_of_tests", {file!r})
models = module_from_spec(spec)
spec.loader.exec_module(models)


def {name}():
    return {call}
"""


def write_function(name: str, folder: Path, *, channels: int, classes: int, side: int) -> str:
    """Writes FOLDER/brought.py.

    Returns:
        What `nas compress` takes as the model.

    Raises:
        UserError: If there is no such network.
    """
    if name not in NETWORKS:
        raise UserError(f"unknown network '{name}'. {did_you_mean(name, NETWORKS)}")
    call = NETWORKS[name].format(channels=channels, classes=classes, side=side)
    file = folder / "brought.py"
    file.write_text(TEXT.format(file=str(MODELS), name=name, call=call))
    return f"{file}:{name}"


def made(reference: str) -> nn.Module:
    """The network with fresh weights."""
    return load_network(reference)
