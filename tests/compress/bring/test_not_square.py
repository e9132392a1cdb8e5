"""Networks that are brought for images that are not square: functions, ONNX files and programs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nas
from compress.bring.bring import Brought, bring, give_weights, space_of
from compress.bring.files import bring_file, input_rule_in
from nas.prepare.brought import _brought, in_words
from nas.prepare.inputs import prepare
from nas.run.config import make_config
from search_spaces import UserError
from supernets.supernet import Supernet
from tests.compress.bring.exported import export

SIDES = 12, 20
SIZE = "12x20"


class Both(nn.Module):
    """A convolution that takes any size, and positions that take one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(16, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 16, 1))
        self.places = nn.Parameter(torch.randn(1, 6 * 10, 16))
        self.mix = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.stem(x_BCHW)
        x_BTD = (x_BCHW + self.block(x_BCHW)).flatten(2).transpose(1, 2) + self.places
        return self.head((x_BTD + self.mix(x_BTD)).mean(1))


def network() -> nn.Module:
    torch.manual_seed(0)
    return Both().eval()


def brought(how: str, folder: Path) -> Brought:
    if how == "function":
        return bring("both", network(), channels=1, resolution=SIZE)
    path = folder / f"both.{how}"
    if how == "onnx":
        export(network(), path, side=SIDES, channels=1, batch=1)
    else:
        torch.export.save(torch.export.export(network(), (torch.zeros(2, 1, *SIDES),)), path)
    assert input_rule_in(path).resolution == SIZE
    with pytest.raises(UserError, match="reads images of 12x20 px, and they have 20x12"):
        bring_file(path, channels=1, resolution="20x12")
    return bring_file(path, channels=1, resolution=SIZE)


@pytest.mark.parametrize("how", ["function", "onnx", "pt2"])
@torch.no_grad()
def test_it_answers_as_it_did_and_its_parts_know_both_sides(how: str, tmp_path: Path) -> None:
    found = brought(how, tmp_path)
    assert (found.network.resolution, found.network.sides) == (SIZE, SIDES)
    supernet = Supernet(space_of(found).with_policy(("fp32",), (0.0, 0.5))).eval()
    give_weights(supernet, found)
    space = supernet.space
    slots = space.slots(space.canonical([0] * len(space.choices)))
    assert slots[0].signature.shape.in_size == SIDES
    images = torch.randn(3, 1, *SIDES, generator=torch.Generator().manual_seed(1))
    whole = supernet.extract(slots)(images)
    torch.testing.assert_close(whole, network()(images), rtol=0, atol=1e-4)
    pruned = space.slots(space.canonical([len(c.options) - 1 for c in space.choices]))
    assert supernet.extract(pruned)(images).shape == whole.shape


@pytest.mark.parametrize("resolution", [SIZE, SIDES])
def test_it_is_quantized_alone(resolution: str | tuple[int, int], tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((32, 1, *SIDES), np.float32)
    found = nas.quantize(network(), tmp_path, channels=1, resolution=resolution, images=images)
    assert found.same_answer >= 0.8
    with pytest.raises(UserError, match=r"They must be \(N, 1, 20, 12\)"):
        nas.quantize(network(), tmp_path, channels=1, resolution="20x12", images=images)


def test_data_is_read_at_the_size_that_the_model_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (200, 15, 25), np.uint8)
    np.savez(tmp_path / "data.npz", images=pixels, labels=np.arange(200) % 10)
    path = export(network(), tmp_path / "both.onnx", side=SIDES, channels=1)
    settings = {"model": str(path), "data": str(tmp_path / "data.npz"), "sparsity": (0.0, 0.5)}
    config = make_config({**settings, "cache": str(tmp_path / "cache")})
    try:
        data, space, _ = prepare(config)
        assert data.resolution == SIZE
        assert "images: 12x20 px (" in in_words(config, space, data)[0]
        with pytest.raises(UserError, match="Leave out --resolution, or give --resolution 12x20"):
            prepare(make_config({**settings, "resolution": "15x25"}))
    finally:
        _brought.cache_clear()
