"""FIT's latents: what they compute, how far they carry, and how cost grows with the map."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from search_spaces import Options, Shape, Signature, UserError, declaration
from search_spaces._dimensions import check_options
from search_spaces.operators._base import AbstractMixer
from search_spaces.operators.fit import group_size
from supernets.mixers.fit import PlainFIT
from tests.strategies import noise, randomise_, signature

DIM, WIDTH = 4, 8


def of(height: int, width: int, *, heads: int = 2, latents: int = 2) -> Signature:
    pick = Options({"num_heads": heads, "num_latents": latents, "expand_ratio": 2})
    size = (height, width)
    return signature("fit", pick, Shape(size, size, WIDTH, WIDTH, 0, DIM))


def mixer(height: int, width: int) -> PlainFIT:
    module = PlainFIT(of(height, width))
    randomise_(module, seed=0)
    return module


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Of two heads, side by side."""
    parts = zip(*(each.split(DIM, dim=-1) for each in (q, k, v)), strict=True)
    return torch.cat([(a @ b.T / DIM**0.5).softmax(-1) @ c for a, b, c in parts], dim=-1)


@torch.no_grad()
def test_groups_attend_and_latents_read_interact_and_are_read() -> None:
    module = mixer(4, 8)
    assert module.part == (4, 4)
    x_BHWC = noise(1, 4, 8, WIDTH)
    x_HWC = module.norm(x_BHWC)[0]
    groups = [x_HWC[:, :4].reshape(16, WIDTH), x_HWC[:, 4:].reshape(16, WIDTH)]
    of_groups = [module.qkv(group).chunk(3, dim=-1) for group in groups]
    latents = torch.cat([module.first + attention(module.first, k, v) for _, k, v in of_groups])
    q, k, v = module.latent_qkv(module.latent_norm(latents)).chunk(3, dim=-1)
    latents = latents + module.latent_out(attention(q, k, v))
    for number, (q, k, v) in enumerate(of_groups):
        own = module.latent_kv(latents[2 * number : 2 * number + 2]).chunk(2, dim=-1)
        expected = module.project(attention(q, k, v) + attention(q, *own))
        found = module(x_BHWC)[0, :, 4 * number : 4 * number + 4].reshape(16, WIDTH)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_position_reaches_every_other_in_one_slot() -> None:
    module = mixer(8, 12)
    assert module.groups == 2
    x = noise(1, 8, 12, WIDTH)
    changed = x.clone()
    changed[0, 7, 11] = noise(WIDTH, seed=5)
    assert ((module(x) - module(changed)).abs().amax(-1) > 0).all()


def test_attention_grows_as_the_papers_power_of_the_pixels() -> None:
    rule = declaration("fit")
    assert isinstance(rule, AbstractMixer)
    sides = (16, 32, 64)
    costs = [rule.mixer_cost(of(side, side, latents=4)) for side in sides]
    slope, _ = np.polyfit(
        [math.log(side**2) for side in sides], [math.log(cost.attention) for cost in costs], 1
    )
    assert 1 < slope <= 1.4


def test_groups_divide_the_map_and_grow_with_it() -> None:
    assert [group_size((side, side)) for side in (4, 7, 14, 28, 56)] == [
        (4, 4), (7, 7), (7, 7), (7, 7), (8, 8)
    ]  # fmt: skip
    assert group_size((11, 12)) == (11, 6)


def test_a_single_latent_is_refused() -> None:
    """Attention to it would compare nothing."""
    with pytest.raises(UserError, match="Allowed: whole numbers from 2 to 256"):
        check_options("stage1.num_latents", (1, 2))
