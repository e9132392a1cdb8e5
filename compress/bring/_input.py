"""What a network's own configuration says of the images that it takes.

Read from attributes of the network or of a part of it, as libraries leave them there; nothing is
imported for it:

    pretrained_cfg, default_cfg     timm: `input_size`, `mean`, `std`
    config                          transformers: `image_size`
    processor, image_processor      transformers: `crop_size` or `size`, `image_mean`, `image_std`,
                                    and by what they multiply pixels; a function puts one there

The first part that says something wins.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from search_spaces import Resolution, read_sides, written_sides

PIXEL = 255.0


@dataclass(frozen=True)
class InputRule:
    """Settings of a search that a network's configuration gives.

    Attributes:
        resolution: Height and width of the images in pixels, as they are written; 0 if it does not
            say.
        mean: Per channel, of pixels between 0 and 1; () if it does not say.
        std: What they are then divided by.
        places: Where each of them was found, by its name.
    """

    resolution: Resolution = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything `from_json` needs."""
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> "InputRule":
        """The inverse of `to_json`; of {} a rule that says nothing."""
        return InputRule(
            written_sides(read_sides(document.get("resolution", 0))),
            tuple(map(float, document.get("mean", ()))),
            tuple(map(float, document.get("std", ()))),
            {str(name): str(place) for name, place in document.get("places", {}).items()},
        )


def input_rule_of(network: nn.Module) -> InputRule:
    """What a network, or the first part of it that says so, asks of images."""
    found: dict[str, Any] = {}
    places: dict[str, str] = {}
    for path, module in network.named_modules():
        for attribute, read in READERS.items():
            said = read(getattr(module, attribute, None))
            for name in said.keys() - found.keys():
                found[name] = said[name]
                places[name] = f"{path}.{attribute}".lstrip(".")
    return InputRule(places=places, **found)


def _of_timm(cfg: Any) -> dict[str, Any]:
    size = _get(cfg, "input_size")
    sides = size[1:] if isinstance(size, list | tuple) and len(size) == 3 else ()
    return _known(
        resolution=_size(*sides),
        mean=_numbers(_get(cfg, "mean")),
        std=_numbers(_get(cfg, "std")),
    )


def _of_config(config: Any) -> dict[str, Any]:
    return _known(resolution=_resolution(_get(config, "image_size")))


def _of_processor(processor: Any) -> dict[str, Any]:
    is_cropped = _get(processor, "do_center_crop") is not False
    size = _resolution(_get(processor, "crop_size")) if is_cropped else 0
    factor = _get(processor, "rescale_factor")
    scale = PIXEL * factor if isinstance(factor, float) else 1.0
    if _get(processor, "do_rescale") is False:
        scale = PIXEL
    mean, std = (_numbers(_get(processor, name)) for name in ("image_mean", "image_std"))
    if _get(processor, "do_normalize") is False:
        mean, std = (0.0,), (1.0,)
    return _known(
        resolution=size or _resolution(_get(processor, "size")),
        mean=tuple(value / scale for value in mean),
        std=tuple(value / scale for value in std),
    )


READERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "pretrained_cfg": _of_timm,
    "default_cfg": _of_timm,
    "processor": _of_processor,
    "image_processor": _of_processor,
    "config": _of_config,
}


def _get(holder: Any, name: str) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _resolution(size: Any) -> Resolution:
    """Of a size as transformers writes it: a number, a pair, or a table; 0 if it is none."""
    if isinstance(size, list | tuple) and len(size) == 2:
        return _size(*size)
    if _get(size, "shortest_edge"):
        size = _get(size, "shortest_edge")
    elif _get(size, "height"):
        return _size(_get(size, "height"), _get(size, "width"))
    return _size(size, size)


def _size(*sides: Any) -> Resolution:
    is_whole = len(sides) == 2 and all(type(side) is int and side > 0 for side in sides)
    return written_sides((sides[0], sides[1])) if is_whole else 0


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list | tuple) or not all(isinstance(v, int | float) for v in values):
        return ()
    return tuple(map(float, values))
