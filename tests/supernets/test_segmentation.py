"""What networks of segmentation are made of: a decoder of all stages, at any sizes of maps."""

from pathlib import Path

import onnx
import pytest
import torch
from torch.nn import functional as F

from compress import compress
from nas.front.needs import uncommon_operators
from nas.testing._exported import export
from nas.testing._spaces import random_supernet, slots_of
from search_spaces import load_space
from supernets.images import Images
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from supernets.tasks._base import losses_of
from tests.strategies import noise

SIZES = (32, "18x20", "33x47")


def module(network: PlainNetwork, slot: str) -> torch.nn.Module:
    return network.get_submodule(slot.replace(".", "_"))


@torch.no_grad()
@pytest.mark.parametrize("resolution", SIZES)
def test_what_has_come_so_far_is_doubled_and_added(resolution: int | str) -> None:
    space = load_space("segment", resolution=resolution, channels=1, num_classes=4)
    supernet = random_supernet(space)
    slots = slots_of(space, stride=2, depth=1, operator="basic")
    network = supernet.extract(slots)
    images = noise(2, 1, *space.network.sides)
    maps = supernet.eval().features(images, slots)
    last = {int(n[5]): x for n, x in maps.items() if n.startswith("stage")}
    found = None
    for stage in sorted(last, reverse=True):
        lateral = module(network, f"decoder.lateral{stage}")(last[stage])
        found = lateral if found is None else lateral + found
        if stage > 1:
            height, width = last[stage - 1].shape[2:]
            found = found.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, :height, :width]
    head = module(network, "head")
    scores = head.classifier(head.layer(found))
    height, width = space.network.sides
    wanted = F.interpolate(scores, scale_factor=2, mode="bilinear")[:, :, :height, :width]
    torch.testing.assert_close(network(images), wanted, rtol=1e-4, atol=1e-4)
    assert tuple(wanted.shape) == (2, 4, height, width)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_files_have_operators_that_every_compiler_knows(precision: str, tmp_path: Path) -> None:
    space = load_space("segment", resolution="18x20", channels=1, num_classes=4)
    space = space.with_policy((precision,), (0.0,))
    supernet = random_supernet(space)
    for name in ("basic", "mbconv"):
        slots = slots_of(space, stride=2, depth=1, operator=name, precision=precision)
        images = [noise(4, 1, 18, 20)]
        network = compress(supernet.extract(slots), slots, images, needs_reduced_range=True).network
        model = onnx.load(export(network, space, tmp_path / "a.onnx"))
        assert uncommon_operators(model) == []
        kinds = [node.op_type for node in model.graph.node]
        assert kinds.count("Resize") == 2


def test_operators_that_are_not_common_are_named(tmp_path: Path) -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(1, 2, 3, dilation=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.erf(self.layer(x))

    space = load_space("segment", resolution=32, channels=1, num_classes=2)
    model = onnx.load(export(Odd().eval(), space, tmp_path / "a.onnx"))
    assert uncommon_operators(model) == ["Conv with dilations", "Erf"]


def test_images_have_the_same_weight_however_many_of_their_pixels_are_ignored() -> None:
    losses = losses_of("segmentation")
    outputs = noise(2, 3, 4, 4)
    labels = torch.randint(0, 3, (2, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    labels = labels.to(torch.uint8)
    labels[0, :, 1:] = 255
    found = losses.label_loss(outputs, labels, smoothing=0.0)
    alone = [
        F.cross_entropy(outputs[i : i + 1], labels[i : i + 1, 0].long(), ignore_index=255)
        for i in range(2)
    ]
    torch.testing.assert_close(found, torch.stack(alone).mean())


def test_masks_are_shifted_and_mirrored_with_their_images() -> None:
    pixels = torch.arange(8 * 12 * 12).reshape(8, 1, 12, 12).remainder(251).to(torch.uint8)
    images = Images(
        images_NCHW=pixels,
        labels_N=pixels.clone(),
        mean=(0.0,),
        std=(1.0,),
        can_flip=True,
        crop_padding=3,
        task="segmentation",
    )
    seen, masks = images.batch(0, 8, 0)
    assert isinstance(masks, torch.Tensor)
    assert torch.equal((255 * seen).round().to(torch.uint8), masks)
    assert not torch.equal(masks, images.batch(1, 8, 0)[1])  # type: ignore[arg-type]


def test_every_weight_of_the_decoder_is_used_by_the_largest_member() -> None:
    space = load_space("segment", resolution=32, channels=1, num_classes=4)
    supernet = Supernet(space).train()
    largest = space.canonical([number - 1 for number in space.cardinalities])
    logits = supernet(noise(2, 1, 32, 32), space.slots(largest))
    labels = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    losses_of("segmentation").label_loss(logits, labels, smoothing=0.1).backward()
    without = [
        name
        for name, parameter in supernet.named_parameters()
        if ("decoder" in name or "head" in name) and parameter.grad is None
    ]
    assert without == []
