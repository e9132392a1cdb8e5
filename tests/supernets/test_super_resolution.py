"""What networks of super-resolution are made of: a head of pixels, and kernels that see edges."""

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import Options, Shape, load_space
from search_spaces.trunk.subpixel import scale_of
from supernets.channel_parts.edge import FILTERS, EdgeDepthwise
from supernets.fold import folded
from supernets.supernet import Supernet
from supernets.trunk.subpixel import PlainSubpixel
from tests.strategies import noise, signature


def test_a_shuffle_undoes_an_unshuffle() -> None:
    for scale, channels in ((2, 3), (3, 1), (4, 3)):
        images = noise(2, channels, 4 * scale, 5 * scale)
        module = PlainSubpixel(
            signature("subpixel", Options({}), Shape((4, 5), (4, 5), 8, scale**2 * channels))
        )
        assert torch.equal(module.shuffle(F.pixel_unshuffle(images, scale)), images)


def test_outputs_at_a_position_say_how_large_images_are() -> None:
    found = [scale_of(outputs) for outputs in (4, 12, 9, 27, 16, 48)]
    assert found == [(2, 1), (2, 3), (3, 1), (3, 3), (4, 1), (4, 3)]


def test_a_fresh_network_is_nearest_upsampling_of_its_image() -> None:
    space = load_space("sr", resolution="8x12", channels=3, num_classes=12)
    images = noise(2, 3, 8, 12)
    for end in (0, -1):
        row = [range(count)[end] for count in space.cardinalities]
        network = Supernet(space).extract(space.slots(space.canonical(row)))
        found = network(images)
        assert tuple(found.shape[1:]) == space.network.output_shape == (3, 16, 24)
        torch.testing.assert_close(found, F.interpolate(images, scale_factor=2, mode="nearest"))


def test_filters_of_edges_and_the_kernel_are_one_kernel() -> None:
    module, images = EdgeDepthwise(4), noise(2, 4, 9, 7)
    nn.init.normal_(module.scales)
    nn.init.normal_(module.bias)
    found = F.conv2d(images, module.weight, module.bias, 1, 1, 1, 4)
    for number, taps in enumerate(FILTERS):
        kernel = torch.tensor(taps).expand(4, 1, 3, 3)
        edges = F.conv2d(images, kernel, None, 1, 1, 1, 4)
        found = found + module.scales[:, number].reshape(-1, 1, 1) * edges
    deployed = folded(nn.Sequential(module).eval())[0]
    assert type(deployed) is nn.Conv2d
    for merged in (module, deployed):
        torch.testing.assert_close(merged(images), found, rtol=0, atol=1e-5)


def test_filters_see_edges_and_nothing_else() -> None:
    flat = torch.ones(1, 1, 5, 5)
    for taps in FILTERS:
        assert F.conv2d(flat, torch.tensor(taps)[None, None]).abs().max() == 0
    columns = torch.arange(5.0).expand(1, 1, 5, 5)
    along_rows, along_columns, second = (
        F.conv2d(columns, torch.tensor(taps)[None, None]) for taps in FILTERS
    )
    assert along_rows.abs().min() > 0
    assert along_columns.abs().max() == second.abs().max() == 0
