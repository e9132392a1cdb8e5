"""Combiner's factorised attention against the probabilities that it stands for."""

import pytest
import torch
from torch import Tensor

from search_spaces import Options, Shape, Signature, declaration
from search_spaces.operators._base import AbstractMixer
from supernets.mixers.combiner import PlainCombiner
from supernets.mixers.sra import PlainSRA
from tests.strategies import noise, randomise_, signature

DIM, WIDTH = 4, 8


def of(operator: str, height: int, width: int, **pick: int) -> Signature:
    size = (height, width)
    options = Options({"num_heads": 2, "expand_ratio": 2, **pick})
    return signature(operator, options, Shape(size, size, WIDTH, WIDTH, 0, DIM))


def mixer(height: int, width: int, block_size: int) -> PlainCombiner:
    module = PlainCombiner(of("combiner", height, width, block_size=block_size))
    randomise_(module, seed=0)
    return module


def probabilities(q: Tensor, k: Tensor, block: Tensor) -> Tensor:
    """Of every query (row) for every key, by the paper's factorisation.

    Args:
        q: Of every position, scaled.
        k: Of every position.
        block: Which block every position belongs to.
    """
    found = torch.zeros(len(q), len(k))
    for i in range(len(q)):
        mine = block == block[i]
        logits = {j: q[i] @ k[j] for j in range(len(k)) if mine[j]}
        others = [b for b in block.unique().tolist() if b != block[i]]
        of_blocks = {b: q[i] @ k[block == b].mean(0) for b in others}
        total = sum(logit.exp() for logit in (*logits.values(), *of_blocks.values()))
        for j, logit in logits.items():
            found[i, j] = logit.exp() / total
        for b, logit in of_blocks.items():
            inside = (k[block == b] @ q[block == b].mean(0)).softmax(0)
            found[i, block == b] = logit.exp() / total * inside
    return found


@torch.no_grad()
def test_values_are_weighed_by_probabilities_above_0_that_add_up_to_1() -> None:
    module = mixer(4, 6, 3)
    assert module.part == (2, 3)
    x_BHWC = noise(1, 4, 6, WIDTH)
    tokens = module.norm(x_BHWC)[0].reshape(24, WIDTH)
    y, x = torch.arange(24) // 6, torch.arange(24) % 6
    block = y // 2 * 2 + x // 3
    q, k, v = module.qkv(tokens).chunk(3, dim=-1)
    heads = []
    for part in (slice(DIM), slice(DIM, 2 * DIM)):
        weights = probabilities(q[:, part] / DIM**0.5, k[:, part], block)
        assert (weights > 0).all()
        torch.testing.assert_close(weights.sum(1), torch.ones(24))
        heads.append(weights @ v[:, part])
    expected = module.project(torch.cat(heads, dim=-1)).reshape(1, 4, 6, WIDTH)
    torch.testing.assert_close(module(x_BHWC), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, 5])
@torch.no_grad()
def test_blocks_of_one_position_or_of_all_are_plain_attention(block_size: int) -> None:
    module = mixer(5, 5, block_size)
    plain = PlainSRA(of("sra", 5, 5, sr_ratio=1))
    plain.norm.load_state_dict(module.norm.state_dict())
    plain.project.load_state_dict(module.project.state_dict())
    for tensor in ("weight", "bias"):
        q, kv = module.qkv.get_parameter(tensor).split([8, 16])
        plain.q.get_parameter(tensor).copy_(q)
        plain.kv.get_parameter(tensor).copy_(kv)
    x_BHWC = noise(2, 5, 5, WIDTH)
    torch.testing.assert_close(module(x_BHWC), plain(x_BHWC), rtol=1e-5, atol=1e-5)


def test_blocks_of_the_root_of_the_pixels_cost_the_root_of_full_attention() -> None:
    rule = declaration("combiner")
    assert isinstance(rule, AbstractMixer)
    for side, block_size in ((16, 4), (64, 8)):
        cost = rule.mixer_cost(of("combiner", side, side, block_size=block_size))
        assert cost.attention == 2 * side**2 * 2 * DIM * (2 * side + 1)
