"""Low frequencies first: what images become, which members learn of smaller ones, and when."""

import math
from dataclasses import replace

import pytest
import torch

from nas.testing.methods import small_images, small_space
from search_spaces import UserError, load_space
from supernets.augmentations import chosen_augmentations
from supernets.frequencies import resampled
from supernets.methods.curriculum import Curriculum
from supernets.steps import SupernetBatches
from tests.contexts import PLAN, context_for, gradients_of
from tests.strategies import mini_space, noise


def test_images_of_their_own_size_stay() -> None:
    images = noise(2, 3, 12, 9)
    assert resampled(images, (12, 9)) is images


@pytest.mark.parametrize(("sides", "new"), [((16, 16), (11, 11)), ((15, 32), (9, 21))])
def test_the_spectrum_is_the_central_block_of_that_of_the_image(
    sides: tuple[int, int], new: tuple[int, int]
) -> None:
    """Scaled by the pixels that there are; of odd sizes to the last frequency."""
    images = noise(2, 1, *sides).double()
    whole, found = (
        torch.fft.fftshift(torch.fft.fft2(x, norm="forward"), dim=(2, 3))
        for x in (images, resampled(images, new))
    )
    top, left = (old // 2 - own // 2 for old, own in zip(sides, new, strict=True))
    block = whole[:, :, top : top + new[0], left : left + new[1]]
    torch.testing.assert_close(found, block, rtol=1e-4, atol=1e-5)


def test_an_even_size_ends_with_a_cosine_and_keeps_the_mean() -> None:
    """Of the highest frequency one of two conjugate numbers is within the block."""
    images = noise(2, 1, 16, 16).double()
    found = resampled(images, (8, 8))
    torch.testing.assert_close(found.mean((2, 3)), images.mean((2, 3)), rtol=1e-4, atol=1e-5)
    places = torch.arange(16, dtype=torch.float64)
    for frequency, height in ((3, 1.0), (4, 0.5), (5, 0.0)):
        wave = torch.cos(2 * math.pi * frequency * places / 16).expand(1, 1, 1, 16)
        assert resampled(wave, (1, 8)).abs().amax().item() == pytest.approx(height, abs=1e-5)


def test_a_larger_image_has_the_same_frequencies() -> None:
    images = noise(2, 1, 9, 9)
    larger = resampled(images, (16, 16))
    torch.testing.assert_close(resampled(larger, (9, 9)), images, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("resolution", "sizes"),
    [(224, [160, 192, 224]), (32, [22, 28, 32]), ("32x48", [(22, 34), (28, 42), (32, 48)])],
)
def test_sizes_follow_the_training(resolution: int | str, sizes: list[object]) -> None:
    space = load_space("mobile", resolution=resolution, channels=3, num_classes=10)
    method = Curriculum(space=space)
    found = [method.sides_at(share) for share in (0.0, 0.59, 0.6, 0.79, 0.8, 0.99)]
    expected = [size if isinstance(size, tuple) else (size, size) for size in sizes]
    assert found == [one for size in expected for one in (size, size)]
    assert method.phases == (0.0, 0.6, 0.8)
    assert Curriculum(space=space, smallest=1.0).sides_at(0.0) == found[-1]


def test_images_are_not_made_smaller_than_networks_can_be() -> None:
    assert Curriculum(space=small_space(), smallest=0.25).sides_at(0.0) == (8, 8)


def test_members_learn_of_smaller_images_and_of_blurred_ones_where_they_have_one_size() -> None:
    seen: list[tuple[int, ...]] = []
    space = mini_space(operators=("mbconv", "window"))
    method = Curriculum(space=space)
    for turn in range(8):
        context = context_for(method, turn=turn)
        context = replace(context, share_done=0.1)
        hook = context.supernet.register_forward_pre_hook(
            lambda _, given: seen.append(tuple(given[0].shape[2:]))
        )
        method.step(context)
        hook.remove()
    assert space.network is not None
    assert set(seen) == {method.sides_at(0.1), space.network.sides}


def test_in_the_end_it_is_the_other_method() -> None:
    space = mini_space(operators=("mbconv",))
    method = Curriculum(space=space)
    late = [replace(context_for(m, turn=3), share_done=0.9) for m in (method, method.base)]
    found, expected = (gradients_of(m, c) for m, c in zip((method, method.base), late, strict=True))
    assert all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(found, expected, strict=True)
    )
    early = gradients_of(method, replace(context_for(method, turn=3), share_done=0.0))
    assert any(a is not None and b is not None and not torch.equal(a, b)
               for a, b in zip(early, expected, strict=True))  # fmt: skip


def test_augmentation_grows_from_fifth_to_fifth() -> None:
    method = Curriculum(space=small_space())
    text = "randaugment:count=1+cutmix"
    found = [method.augment_at(text, share) for share in (0.0, 0.3, 0.5, 0.7, 0.9, 0.999)]
    magnitudes = [chosen_augmentations(one)[0].magnitude for one in found]  # type: ignore[attr-defined]
    assert magnitudes == pytest.approx([1, 3, 5, 7, 9, 9], abs=0.01)
    assert all(chosen_augmentations(one)[0].count == 1 for one in found)  # type: ignore[attr-defined]
    assert all(one.endswith("+cutmix") for one in found)
    half = method.augment_at("randaugment:magnitude=4.5", 0.9)
    assert chosen_augmentations(half)[0].magnitude == 4.5  # type: ignore[attr-defined]
    assert method.augment_at("", 0.0) == ""


def test_a_batch_is_augmented_as_the_method_says() -> None:
    method = Curriculum(space=small_space())
    context = context_for(method)
    plan = replace(PLAN, augment="randaugment")
    images = [
        SupernetBatches(plan, one).context(context.supernet, small_images(), 0).images_BCHW
        for one in (method, method.base)
    ]
    assert not torch.equal(*images)


def test_what_has_sizes_of_its_own_is_refused() -> None:
    for name, why in (
        ("multi-resolution", "sizes of images of its own"),
        ("multi-resolution:consistency=0.2", "sizes of images of its own"),
        ("guided", "sizes of images of its own"),
        ("sharpness-aware", "takes the steps of another one"),
        ("sandwhich", "Did you mean 'sandwich'"),
    ):
        with pytest.raises(UserError, match=why):
            Curriculum(space=small_space(), method=name)
    assert Curriculum(space=small_space(), method="sandwich").base is not None
