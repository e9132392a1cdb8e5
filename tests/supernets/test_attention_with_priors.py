"""Attention with priors of place, pooled queries and linear cost, against attention written down."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import Options, Shape, Signature, declaration
from search_spaces._slot import Cost
from search_spaces.operators._base import AbstractMixer
from supernets.mixers.convit import PlainConViT, first_offsets
from supernets.mixers.cvt import PlainCvT
from supernets.mixers.gcvit import PlainGCViT
from supernets.mixers.l2vit import LEAST, PlainL2ViT
from supernets.mixers.outlook import PlainOutlook
from supernets.mixers.rmt import ElasticRMT, PlainRMT, log_decays
from supernets.mixers.window import PlainWindow
from tests.strategies import noise, randomise_, signature

WIDTH, HEAD_DIM = 8, 4


def of(
    operator: str, size: tuple[int, int] = (3, 5), *, sparsity: float = 0.0, **pick: int | str
) -> Signature:
    options = Options({"num_heads": 2, "expand_ratio": 1, **pick})
    return signature(operator, options, Shape(size, size, WIDTH, WIDTH, 0, HEAD_DIM), sparsity)


def mixer_cost(spec: Signature) -> Cost:
    rule = declaration(spec.operator)
    assert isinstance(rule, AbstractMixer)
    return rule.mixer_cost(spec)


def randomised(module: nn.Module) -> nn.Module:
    randomise_(module, seed=1)
    return module.eval()


def heads_of(x_BHWC: Tensor, parts: int = 1) -> Tensor:
    """(parts, B, N, T, D)."""
    batch, height, width, channels = x_BHWC.shape
    x = x_BHWC.reshape(batch, height * width, parts, channels // parts // HEAD_DIM, HEAD_DIM)
    return x.permute(2, 0, 3, 1, 4)


def attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """(B, T, N * D), a query at a time."""
    found = torch.zeros_like(q)
    for i in range(q.shape[2]):
        logits_BNT = (q[:, :, i, None] * k).sum(-1) / math.sqrt(HEAD_DIM) + bias[:, i]
        found[:, :, i] = (logits_BNT.softmax(-1)[..., None] * v).sum(2)
    return found.transpose(1, 2).flatten(2)


def between(size: tuple[int, int]) -> Tensor:
    """Manhattan distances, (T, T)."""
    at = list(product(range(size[0]), range(size[1])))
    return torch.tensor([[abs(a[0] - b[0]) + abs(a[1] - b[1]) for b in at] for a in at]).float()


def rmt(extent: str, size: tuple[int, int] = (3, 5)) -> PlainRMT:
    module = PlainRMT(of("rmt", size, extent=extent))
    randomised(module)
    return module


def local_of(module: PlainRMT, x_BHWC: Tensor) -> Tensor:
    values = module.qkv(module.norm(x_BHWC))[..., 2 * module.inner :]
    return module.local(values.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@torch.no_grad()
def test_decays_of_the_map_are_products_of_those_along_its_sides() -> None:
    module = rmt("full")
    of_rows, of_columns = module.fading()
    for head, decay in enumerate(log_decays(2).exp()):
        product_TT = torch.kron((-of_rows[head]).exp(), (-of_columns[head]).exp())
        torch.testing.assert_close(product_TT, decay ** between((3, 5)))
        torch.testing.assert_close((-module.full_fading()[head]).exp(), product_TT)


@torch.no_grad()
def test_full_attention_decays_with_the_manhattan_distance() -> None:
    module, x_BHWC = rmt("full"), noise(2, 3, 5, WIDTH)
    q, k, v = heads_of(module.qkv(module.norm(x_BHWC)), 3)
    bias = module.decay_N.reshape(-1, 1, 1) * between((3, 5))
    mixed = attended(q, k, v, bias).reshape(2, 3, 5, -1) + local_of(module, x_BHWC)
    torch.testing.assert_close(module(x_BHWC), module.project(mixed), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("decays", [True, False])
@torch.no_grad()
def test_axial_attention_is_that_of_rows_and_then_of_columns(decays: bool) -> None:
    """Without decay plain softmax attention along both."""
    module, x_BHWC = rmt("axial"), noise(1, 3, 5, WIDTH)
    if not decays:
        module.decay_N.zero_()
    qkv = module.qkv(module.norm(x_BHWC))
    q, k, v = heads_of(qkv, 3).reshape(3, 2, 3, 5, HEAD_DIM)
    distance_WW, distance_HH = between((1, 5)), between((3, 1))
    rows, mixed = torch.zeros_like(v), torch.zeros_like(v)
    for head, decay in enumerate(module.decay_N):
        for y in range(3):
            bias = decay * distance_WW
            rows[head, y] = F.scaled_dot_product_attention(
                q[head, y], k[head, y], v[head, y], attn_mask=bias
            )
        for x in range(5):
            bias = decay * distance_HH
            mixed[head, :, x] = F.scaled_dot_product_attention(
                q[head, :, x], k[head, :, x], rows[head, :, x], attn_mask=bias
            )
    mixed = mixed.permute(1, 2, 0, 3).reshape(1, 3, 5, -1) + local_of(module, x_BHWC)
    torch.testing.assert_close(module(x_BHWC), module.project(mixed), rtol=1e-5, atol=1e-5)


def test_axial_attention_costs_rows_and_columns_and_full_attention_all_pairs() -> None:
    costs = {e: mixer_cost(of("rmt", (14, 7), extent=e)).attention for e in ("axial", "full")}
    assert costs == {"axial": 2 * 98 * (14 + 7) * 8, "full": 2 * 98**2 * 8}


def test_a_head_that_is_kept_keeps_its_decay() -> None:
    family = ElasticRMT(of("rmt", num_heads=4))
    family.order("heads", torch.tensor([1.0, 0.0, 3.0, 2.0]))
    found = family.weights(of("rmt", num_heads=4, sparsity=0.5))
    assert torch.equal(found["decay_N"], log_decays(4)[2:])


def outlooked(module: PlainOutlook, x_BHWC: Tensor, stride: int) -> Tensor:
    """Outlook attention of a map, written down patch by patch."""
    x_BHWC = module.norm(x_BHWC)
    batch, height, width, _ = x_BHWC.shape
    heads = module.heads
    values = module.v(x_BHWC).reshape(batch, height, width, heads, HEAD_DIM)
    total = torch.zeros_like(values)
    around = list(product((-1, 0, 1), repeat=2))
    for y, x in product(range(0, height, stride), range(0, width, stride)):
        centre = x_BHWC[:, y : y + stride, x : x + stride].mean((1, 2))
        logits = module.weigh(centre).reshape(batch, heads, 9, 9) / math.sqrt(HEAD_DIM)
        weights = logits.softmax(-1)
        for (i, (dy, dx)), (j, (ey, ex)) in product(enumerate(around), repeat=2):
            to, source = (y + dy, x + dx), (y + ey, x + ex)
            if all(0 <= a < b for a, b in zip((*to, *source), 2 * (height, width), strict=True)):
                total[:, *to] += weights[:, :, i, j, None] * values[:, *source]
    return module.project(total.flatten(3))


@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_outlook_attention_adds_up_what_all_patches_say(stride: int) -> None:
    module = PlainOutlook(of("outlook", sr_ratio=stride))
    randomised(module)
    x_BHWC = noise(2, 3, 5, WIDTH)
    expected = outlooked(module, x_BHWC, stride)
    torch.testing.assert_close(module(x_BHWC), expected, rtol=1e-5, atol=1e-5)


def test_outlook_attention_costs_what_positions_do() -> None:
    one, four = (mixer_cost(of("outlook", (s, s), sr_ratio=1)) for s in (7, 14))
    assert 4 * one.macs == four.macs
    halved = mixer_cost(of("outlook", (14, 14), sr_ratio=2))
    assert 4 * halved.attention == four.attention == 81 * 196 * 8


def test_gradients_reach_every_position_through_the_sum_of_patches() -> None:
    module = PlainOutlook(of("outlook", sr_ratio=2))
    randomised(module)
    x_BHWC = noise(1, 3, 5, WIDTH).requires_grad_()
    (module(x_BHWC) * noise(1, 3, 5, WIDTH, seed=2)).sum().backward()
    assert x_BHWC.grad is not None
    assert (x_BHWC.grad != 0).all()


@torch.no_grad()
def test_convolutions_that_copy_leave_multi_head_attention() -> None:
    module = PlainCvT(of("cvt", sr_ratio=1))
    randomised(module)
    for conv in (module.q_conv, module.k_conv, module.v_conv):
        conv.conv.weight.zero_()
        conv.conv.weight[:, :, 1, 1] = 1.0
        conv.norm = nn.BatchNorm2d(WIDTH, eps=0.0).eval()
    reference = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
    reference.in_proj_weight.copy_(torch.cat([module.q.weight, module.k.weight, module.v.weight]))
    reference.in_proj_bias.copy_(torch.cat([module.q.bias, module.k.bias, module.v.bias]))
    reference.out_proj.load_state_dict(module.project.state_dict())
    x_BHWC = noise(2, 3, 5, WIDTH)
    tokens = module.norm(x_BHWC).flatten(1, 2)
    expected = reference(tokens, tokens, tokens)[0].reshape(x_BHWC.shape)
    torch.testing.assert_close(module(x_BHWC), expected, rtol=1e-5, atol=1e-5)


def test_a_stride_of_keys_divides_products_by_its_square() -> None:
    plain, reduced = (mixer_cost(of("cvt", (14, 14), sr_ratio=r)) for r in (1, 2))
    assert plain.attention == 4 * reduced.attention == 2 * 196**2 * 8
    assert plain.params == reduced.params


def test_weights_without_positions_run_at_any_size() -> None:
    state = PlainCvT(of("cvt", (8, 8), sr_ratio=2)).state_dict()
    other = PlainCvT(of("cvt", (7, 10), sr_ratio=2))
    other.load_state_dict(state)
    assert other(noise(1, 7, 10, WIDTH)).shape == (1, 7, 10, WIDTH)


@torch.no_grad()
def test_keys_may_meet_values_before_queries() -> None:
    module = PlainL2ViT(of("l2vit", kernel_size=3))
    randomised(module)
    x_BHWC = noise(2, 3, 5, WIDTH)
    q, k, v = heads_of(module.qkv(x_BHWC), 3)
    weights_BNTT = (1 + F.elu(q)) @ (1 + F.elu(k)).transpose(-2, -1)
    weights_BNTT = weights_BNTT / weights_BNTT.sum(-1, keepdim=True).clamp(min=LEAST)
    mixed = (module.scale_N.reshape(-1, 1, 1) * weights_BNTT) @ v
    expected = module.project(mixed.transpose(1, 2).reshape(2, 3, 5, -1))
    torch.testing.assert_close(module._attended(x_BHWC), expected, rtol=1e-5, atol=1e-5)


def test_linear_attention_costs_what_positions_do() -> None:
    one, four = (mixer_cost(of("l2vit", (s, s), kernel_size=7)) for s in (7, 14))
    assert 4 * one.macs == four.macs
    assert four.attention == 2 * 196 * HEAD_DIM * 8


@torch.no_grad()
def test_heads_attend_to_an_offset_of_their_own_at_first() -> None:
    module = PlainConViT(of("convit", (5, 6), num_heads=9))
    offsets = first_offsets(9)
    assert set(offsets) == set(product((-1, 0, 1), repeat=2))
    middle = 2 * 6 + 3
    for weights_T, (dy, dx) in zip(module.by_position()[:, middle], offsets, strict=True):
        assert int(weights_T.argmax()) == (2 + dy) * 6 + 3 + dx


@torch.no_grad()
def test_gates_decide_between_content_and_position() -> None:
    module, x_BHWC = PlainConViT(of("convit", (3, 4))), noise(2, 3, 4, WIDTH)
    randomised(module)
    at = torch.tensor(list(product(range(3), range(4)))).float()
    away_TT2 = at[None] - at[:, None]
    features_TT3 = torch.cat((away_TT2.square().sum(-1, keepdim=True), away_TT2), -1)
    by_position = (features_TT3 @ module.places_N3.T).permute(2, 0, 1).softmax(-1)
    torch.testing.assert_close(module.by_position(), by_position)
    q, k, v = heads_of(module.qkv(module.norm(x_BHWC)), 3)
    by_content = (q @ k.transpose(-2, -1) / math.sqrt(HEAD_DIM)).softmax(-1)
    for gate, weights in ((-100.0, by_content), (100.0, by_position)):
        module.gates_N.fill_(gate)
        mixed = (weights @ v).transpose(1, 2).reshape(2, 3, 4, -1)
        torch.testing.assert_close(module(x_BHWC), module.project(mixed), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_all_windows_are_asked_by_the_same_queries() -> None:
    """Windows of equal keys and values answer alike, whatever the rest of the map."""
    module = PlainGCViT(of("gcvit", (16, 24)))
    randomised(module)
    assert (module.window, module.grid) == ((8, 8), (2, 3))
    x_BHWC = noise(1, 16, 24, WIDTH)
    x_BHWC[:, 8:, 16:] = x_BHWC[:, :8, :8]
    y_BHWC = module(x_BHWC)
    torch.testing.assert_close(y_BHWC[:, 8:, 16:], y_BHWC[:, :8, :8])
    x_BHWC[:, :8, 8:16] = noise(1, 8, 8, WIDTH, seed=3)
    assert not torch.allclose(module(x_BHWC)[:, :8, :8], y_BHWC[:, :8, :8])


@torch.no_grad()
def test_one_window_with_global_queries_is_window_attention() -> None:
    module, window = PlainGCViT(of("gcvit")), PlainWindow(of("window"))
    randomised(module)
    module.bias_table.copy_(noise(*module.bias_table.shape))
    window.qkv.weight.copy_(torch.cat((module.q.weight, module.kv.weight)))
    window.qkv.bias.copy_(torch.cat((module.q.bias, module.kv.bias)))
    same = {n: p for n, p in module.state_dict().items() if n in dict(window.named_parameters())}
    window.load_state_dict(same, strict=False)
    x_BHWC = noise(2, 3, 5, WIDTH)
    torch.testing.assert_close(module(x_BHWC), window(x_BHWC), rtol=1e-5, atol=1e-5)


def test_global_queries_cost_products_as_many_as_windows_do() -> None:
    for size in ((16, 16), (9, 10), (28, 14)):
        found, plain = (mixer_cost(of(operator, size)) for operator in ("gcvit", "window"))
        assert found.attention == plain.attention
