"""DHVT's tokens of heads and its channel part against the paper's formulas."""

import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import Options, Shape, Signature
from supernets.channel_parts.daff import PlainDAFF
from supernets.mixers.dhvt import PlainDHVT
from tests.strategies import noise, randomise_, signature

HEADS, DIM, WIDTH = 3, 4, 12


def of(**pick: int | str) -> Signature:
    options = Options({"num_heads": HEADS, "expand_ratio": 2, **pick})
    return signature("dhvt", options, Shape((5, 4), (5, 4), WIDTH, WIDTH, 0, DIM))


@torch.no_grad()
def test_heads_have_tokens_in_attention_and_their_mean_is_added_everywhere() -> None:
    module = PlainDHVT(of())
    randomise_(module, seed=0)
    x_BHWC = noise(2, 5, 4, WIDTH)
    x = module.norm(x_BHWC).reshape(2, 20, WIDTH)
    features = module.features(x.mean(1)).split(DIM, dim=-1)
    tokens = [
        F.gelu(module.token_norm(module.token(feature))) + module.embedding[head]
        for head, feature in enumerate(features)
    ]
    together = torch.cat((x, torch.stack(tokens, dim=1)), dim=1)
    reference = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    reference.in_proj_weight.copy_(module.qkv.weight)
    reference.in_proj_bias.copy_(module.qkv.bias)
    reference.out_proj.load_state_dict(module.project.state_dict())
    mixed = reference(together, together, together)[0]
    expected = mixed[:, :20] + mixed[:, 20:].sum(1, keepdim=True) / HEADS
    torch.testing.assert_close(module(x_BHWC).reshape(2, 20, WIDTH), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_features_of_heads_may_be_the_papers_parts_of_the_mean() -> None:
    module = PlainDHVT(of())
    randomise_(module, seed=0)
    module.features.weight.copy_(torch.eye(WIDTH))
    module.features.bias.zero_()
    x_BTC = noise(1, 20, WIDTH)
    other = x_BTC.clone()
    other[..., DIM : 2 * DIM] += 1.0
    changed = (module.head_tokens(x_BTC) != module.head_tokens(other)).any(-1)
    assert changed.tolist() == [[False, True, False]]


@torch.no_grad()
def test_daff_is_the_papers_formula_with_gates_of_the_map() -> None:
    module = PlainDAFF(of(channel_part="daff")).eval()
    randomise_(module, seed=0)
    x_BHWC = noise(2, 5, 4, WIDTH)
    x = module.norm(x_BHWC).permute(0, 3, 1, 2)

    def layer(name: str, x: torch.Tensor, groups: int = 1) -> torch.Tensor:
        conv, norm = (module.get_submodule(f"{name}.{part}") for part in ("conv", "norm"))
        y = F.conv2d(x, conv.weight, None, 1, conv.weight.shape[-1] // 2, 1, groups)
        return F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    hidden = F.gelu(layer("expand", x))
    y = layer("project", hidden + F.gelu(layer("depthwise", hidden, 2 * WIDTH)))
    squeezed = F.gelu(module.gates.squeeze(y.mean((2, 3))))
    assert squeezed.shape == (2, WIDTH // 4)
    expected = y * module.gates.decide(squeezed).sigmoid()[:, :, None, None]
    torch.testing.assert_close(module(x_BHWC), expected.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
