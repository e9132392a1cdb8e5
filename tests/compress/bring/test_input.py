"""What networks say of the images that they take, as libraries leave it with them."""

from types import SimpleNamespace

import pytest
from torch import nn

from compress.bring._input import InputRule, input_rule_of

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(**attributes: object) -> nn.Module:
    """A network whose second part has attributes."""
    found = nn.Sequential(nn.Identity(), nn.Identity())
    for name, value in attributes.items():
        setattr(found[1], name, value)
    return found


def test_timm_says_all_in_one_table() -> None:
    cfg = {"input_size": (3, 224, 224), "mean": MEAN, "std": STD, "crop_pct": 0.9}
    found = input_rule_of(network(pretrained_cfg=cfg))
    assert (found.resolution, found.mean, found.std) == (224, MEAN, STD)
    assert set(found.places.values()) == {"1.pretrained_cfg"}
    assert input_rule_of(network(default_cfg=SimpleNamespace(**cfg))).std == STD


def test_a_configuration_of_transformers_says_the_size() -> None:
    found = input_rule_of(network(config=SimpleNamespace(image_size=32, num_channels=3)))
    assert found == InputRule(resolution=32, places={"resolution": "1.config"})
    assert input_rule_of(network(config=SimpleNamespace(image_size=(32, 32)))).resolution == 32
    assert input_rule_of(network(config=SimpleNamespace(image_size=(32, 48)))).resolution == "32x48"
    assert input_rule_of(network(config=SimpleNamespace(image_size=(32, "b")))) == InputRule()


@pytest.mark.parametrize(
    ("settings", "resolution", "mean"),
    [
        ({"size": {"height": 96, "width": 96}}, 96, MEAN),
        ({"size": {"height": 96, "width": 128}}, "96x128", MEAN),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, 224, MEAN),
        ({"size": 64, "crop_size": 56, "do_center_crop": False}, 64, MEAN),
        ({"size": 64, "rescale_factor": 1 / 255}, 64, MEAN),
        ({"size": 64, "do_rescale": False}, 64, tuple(value / 255 for value in MEAN)),
        ({"size": 64, "do_normalize": False}, 64, (0.0,)),
    ],
)
def test_a_processor_of_transformers_says_all(
    settings: dict, resolution: int | str, mean: tuple[float, ...]
) -> None:
    processor = SimpleNamespace(image_mean=list(MEAN), image_std=list(STD), **settings)
    found = input_rule_of(network(processor=processor))
    assert found.resolution == resolution
    assert found.mean == pytest.approx(mean)
    assert InputRule.from_json(found.to_json()) == found


def test_who_says_nothing_of_images_gives_an_empty_rule() -> None:
    others = network(config=SimpleNamespace(hidden_size=8), processor=print, default_cfg={})
    assert input_rule_of(others) == input_rule_of(network()) == InputRule()
    assert InputRule.from_json({}) == InputRule()
