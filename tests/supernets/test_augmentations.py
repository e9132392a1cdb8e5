"""What augmentations do beyond their contract: shares of labels, texts, repeats, and the loss."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces import UserError
from supernets.augmentations import MixedLabels, Varied, chosen_augmentations
from supernets.augmentations._base import varied
from supernets.augmentations.cutmix import CutMix
from supernets.augmentations.erasing import RandomErasing
from supernets.augmentations.mixup import Mixup
from supernets.augmentations.randaugment import OPERATIONS, RandAugment, equalize
from supernets.images import Images
from supernets.tasks._base import loss_on

LABELS = torch.arange(16) % 4


def plain(size: int = 16, channels: int = 3) -> Tensor:
    """Image k has the value k / size everywhere."""
    return (torch.arange(size) / size).reshape(-1, 1, 1, 1).expand(size, channels, 12, 20).clone()


@pytest.fixture
def images(digit_images: Images) -> Images:
    return digit_images


def test_cutmix_labels_have_exactly_the_share_of_the_pixels_that_were_pasted() -> None:
    """Technique T21: also of boxes that the border has cut."""
    before = plain()
    shares = []
    for seed in range(8):
        mixed, labels = CutMix()(Varied(before, torch.arange(16)), np.random.default_rng(seed))
        assert isinstance(labels, MixedLabels)
        is_own = labels.first_B == labels.second_B
        pasted_B = (mixed != before)[:, 0].sum((1, 2)) / (12 * 20)
        assert torch.equal(pasted_B[~is_own], labels.share_B[~is_own])
        shares.append(labels.share_B)
    share_N = torch.cat(shares)
    assert share_N.min() < 0.05
    assert share_N.max() > 0.8


def test_cutmix_pastes_one_rectangle() -> None:
    before = plain()
    mixed, _ = CutMix()(Varied(before, LABELS), np.random.default_rng(0))
    for changed in (mixed != before)[:, 0]:
        rows, columns = changed.any(1), changed.any(0)
        assert torch.equal(changed, rows[:, None] & columns[None])


def test_some_batches_are_left_alone_if_that_is_asked_for() -> None:
    batches = [
        CutMix(share=0.5)(Varied(plain(), LABELS), np.random.default_rng(seed))
        for seed in range(20)
    ]
    mixed = sum(isinstance(batch.labels, MixedLabels) for batch in batches)
    assert 0 < mixed < 20


def test_mixed_labels_are_soft_labels_to_the_loss() -> None:
    outputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    _, labels = Mixup(alpha=1.0)(Varied(plain(), LABELS), np.random.default_rng(0))
    assert isinstance(labels, MixedLabels)
    soft = torch.lerp(
        F.one_hot(labels.first_B, 4).float(),
        F.one_hot(labels.second_B, 4).float(),
        labels.share_B[:, None],
    )
    expected = F.cross_entropy(outputs, soft, label_smoothing=0.1)
    found = loss_on("classification", outputs, labels, smoothing=0.1)
    assert torch.allclose(found, expected)


def test_classes_weigh_in_the_loss_of_mixed_labels() -> None:
    outputs = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    labels = MixedLabels(torch.tensor([0, 1]), torch.tensor([2, 1]), torch.tensor([0.25, 0.5]))
    weights = torch.tensor([1.0, 2.0, 4.0])
    found = loss_on("classification", outputs, labels, smoothing=0.0, weights_K=weights)
    log = outputs.log_softmax(1)
    expected = -(0.75 * log[0, 0] + 0.25 * 4 * log[0, 2] + 2 * log[1, 1]) / 2
    assert torch.allclose(found, expected)


def test_erasing_fills_one_rectangle_of_some_images() -> None:
    before = plain()
    found = RandomErasing()(Varied(before, LABELS), np.random.default_rng(0)).images_BCHW
    changed = (found != before).any(1)
    is_erased = changed.any(2).any(1)
    assert 0 < is_erased.sum() < 16
    for image in changed[is_erased]:
        assert torch.equal(image, image.any(1)[:, None] & image.any(0)[None])
    nothing = RandomErasing(share=0.0)(Varied(before, LABELS), np.random.default_rng(0))
    assert torch.equal(nothing.images_BCHW, before)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_do_nothing_at_level_0_but_those_without_levels(operation: object) -> None:
    assert callable(operation)
    name = operation.__name__
    noise = torch.rand(4, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    noise = (noise * 255).round() / 255
    found = operation(noise, torch.zeros(4))
    if name in ("auto_contrast", "equalize"):
        assert not torch.allclose(found, noise)
    elif name == "solarize":
        assert torch.allclose(found[noise < 1], noise[noise < 1])
    else:
        assert torch.allclose(found, noise, atol=1e-5)


def test_rotation_turns_around_the_centre_without_distortion() -> None:
    """A quarter of the way of 30 degrees and back is where it began; the centre stays."""
    from supernets.augmentations.randaugment import rotate

    smooth = F.interpolate(
        torch.rand(1, 1, 4, 6, generator=torch.Generator().manual_seed(0)), (31, 47), mode="bicubic"
    ).clamp(0, 1)
    there = rotate(smooth, torch.tensor([0.25]))
    back = rotate(there, torch.tensor([-0.25]))
    middle = (slice(None), slice(None), slice(10, 21), slice(15, 32))
    assert (back[middle] - smooth[middle]).abs().max() < 0.05
    assert (there[middle] - smooth[middle]).abs().max() > 0.05
    assert abs(float(there[0, 0, 15, 23] - smooth[0, 0, 15, 23])) < 1e-5


def test_equalized_values_are_spread_over_the_range() -> None:
    dark = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) / 4
    found = equalize(dark, torch.zeros(2))
    assert (float(found.min()), float(found.max())) == (0.0, 1.0)
    assert abs(float(found.mean()) - 0.5) < 0.1
    same = torch.full((1, 1, 4, 4), 0.2)
    assert torch.allclose(equalize(same, torch.zeros(1)), same, atol=1 / 255)


def test_of_several_that_mix_every_batch_takes_one() -> None:
    texts = ("cutmix+mixup", "cutmix", "mixup")
    both, cut, mixed = (
        [varied(text, Varied(plain(), LABELS), seed=0, step=step).images_BCHW for step in range(12)]
        for text in texts
    )
    is_cut = [torch.equal(a, b) for a, b in zip(both, cut, strict=True)]
    is_mixed = [torch.equal(a, b) for a, b in zip(both, mixed, strict=True)]
    assert [not a for a in is_cut] == is_mixed
    assert 0 < sum(is_cut) < 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cutmx", "unknown augmentation 'cutmx'.*Did you mean 'cutmix'"),
        ("cutmix+cutmix:alpha=2", "Name each augmentation once"),
        ("mixup,cutmix", r"with \+ between several"),
        ("mixup+", "augment has '' where the name"),
        ("cutmix:alpha=2,alpha=3", "option 'alpha' is given twice"),
        ("cutmix:beta=2", "augmentation 'cutmix' has no option 'beta'. Options: alpha, share"),
        ("randaugment:count=two", "'count' of augmentation 'randaugment' is 'two'.*whole number"),
        ("mixup:alpha=0", "augmentation 'mixup': alpha is 0.0. It must be at least 0.001"),
    ],
)
def test_what_is_wrong_in_a_text_is_said(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen_augmentations(text)


def test_a_text_chooses_in_its_order_with_its_options() -> None:
    found = chosen_augmentations("erasing+randaugment:magnitude=5,count=1+cutmix")
    assert found == (RandomErasing(), RandAugment(magnitude=5.0, count=1), CutMix())
    assert chosen_augmentations("") == ()


def test_batches_are_the_same_again_and_others_in_another_step(images: Images) -> None:
    text = "randaugment+erasing+cutmix+mixup"
    first, again, other = (images.batch(step, 8, 0, augment=text) for step in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other[0])
    assert isinstance(first[1], MixedLabels)
    assert first[1].of(slice(2)).first_B.tolist() == first[1].first_B[:2].tolist()


def test_repeated_images_are_varied_each_in_its_own_way(images: Images) -> None:
    batch, labels = images.batch(0, 8, 0, repeats=4)
    assert isinstance(labels, Tensor)
    assert labels.tolist() == [labels[0]] * 4 + [labels[4]] * 4
    assert len({image.numpy().tobytes() for image in batch}) > 2
    assert len(images.batch(1, 7, 0, repeats=3)[0]) == 7
    number = len(images.labels_N)
    places = np.concatenate(
        [images._places(step, batch_size=8, seed=0, repeats=4) for step in range(number // 2)]
    )
    assert (np.bincount(places, minlength=number) == 4).sum() >= number - 1
