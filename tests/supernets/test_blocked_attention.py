"""Attention in blocks against attention of all positions in which pairs are left out."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import CandidateError, Options, Shape, Signature, declaration, signature_cost
from search_spaces._sides import Sides
from search_spaces.operators._base import AbstractMixer
from supernets._generated import Stored
from supernets._position_bias import ContinuousBias
from supernets.fold import folded
from supernets.mixers._blocked import PlainBlockedAttention
from supernets.mixers.cswin import PlainCSWin
from supernets.mixers.swinv2 import PlainSwinV2
from supernets.mixers.window import PlainWindow
from tests.strategies import noise, randomise_, signature

WIDTH, HEAD_DIM = 8, 4
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
Seen = Callable[[int], Sequence[int]]


def of(operator: str, size: Sides, *, index: int = 0, heads: int = 2, **pick: int) -> Signature:
    options = Options({"num_heads": heads, "expand_ratio": 2, **pick})
    return signature(operator, options, Shape(size, size, WIDTH, WIDTH, index, HEAD_DIM))


def random(plain: type[nn.Module], spec: Signature) -> nn.Module:
    module = plain(spec)
    randomise_(module, seed=1)
    return module.eval()


def macs(spec: Signature) -> int:
    rule = declaration(spec.operator)
    assert isinstance(rule, AbstractMixer)
    return rule.mixer_cost(spec).macs


def entries(length: int, seen: Seen, reach: int, step: int = 1) -> Tensor:
    """Of a table of offsets for every pair of positions of a side; the last one is hidden."""
    found = torch.full((length, length), 2 * reach + 1)
    for query in range(length):
        for key in seen(query):
            found[query, key] = (query - key) // step + reach
    return found


def biases(table_NYX: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(N, positions, positions), -inf where a pair does not see each other."""
    padded = F.pad(table_NYX, (0, 1, 0, 1), value=-torch.inf)
    found = padded[:, rows[:, None, :, None], columns[None, :, None, :]]
    positions = len(rows) * len(columns)
    return found.reshape(-1, positions, positions)


def whole(module: nn.Module, x_BHWC: Tensor) -> list[Tensor]:
    """Queries, keys and values of all positions, (B, N, positions, D) each."""
    batch, height, width, _ = x_BHWC.shape
    qkv = module.qkv(x_BHWC).reshape(batch, height * width, 3, -1, HEAD_DIM)
    return list(qkv.permute(2, 0, 3, 1, 4))


def side_by_side(mixed_BNTD: Tensor, size: Sides) -> Tensor:
    return mixed_BNTD.transpose(1, 2).reshape(len(mixed_BNTD), *size, -1)


def expected(
    module: PlainBlockedAttention, x_BHWC: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    q, k, v = whole(module, module.norm(x_BHWC))
    bias = biases(module.bias_table, rows, columns)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return module.project(side_by_side(mixed, x_BHWC.shape[1:3]))


def neighbours(side: int, keys: int, dilation: int, stride: int) -> Seen:
    """The nearest positions of a residue class, of the middle one of every group of queries."""

    def seen(position: int) -> list[int]:
        own = list(range(position % dilation, side, dilation))
        first = own.index(position) // stride * stride
        middle = own[min(first + stride // 2, len(own) - 1)]
        return sorted(own, key=lambda key: abs(key - middle))[:keys]

    return seen


@pytest.mark.parametrize(
    ("size", "kernel_size", "dilation", "stride"),
    [
        ((7, 9), 3, 1, 1),
        ((8, 11), 5, 1, 1),
        ((12, 9), 3, 3, 1),
        ((9, 7), 7, 1, 3),
        ((10, 7), 5, 1, 4),
        ((12, 8), 3, 4, 2),
    ],
)
@torch.no_grad()
def test_a_neighbourhood_is_global_attention_to_the_nearest_positions(
    size: Sides, kernel_size: int, dilation: int, stride: int
) -> None:
    pick = {"kernel_size": kernel_size, "dilation": dilation, "window_stride": stride}
    module = random(PlainBlockedAttention, of("neighbourhood", size, **pick))
    assert isinstance(module, PlainBlockedAttention)
    sides = []
    for side in size:
        own = min(dilation, side // kernel_size)
        seen = neighbours(side, kernel_size, own, stride)
        assert {len(seen(position)) for position in range(side)} == {kernel_size}
        sides.append(entries(side, seen, kernel_size - 1, own))
    x = noise(2, *size, WIDTH)
    torch.testing.assert_close(module(x), expected(module, x, *sides), **CLOSE)


@pytest.mark.parametrize(("size", "kernel_size"), [((5, 5), 5), ((4, 6), 9)])
@torch.no_grad()
def test_a_neighbourhood_that_is_the_map_is_global_attention(size: Sides, kernel_size: int) -> None:
    module = random(PlainBlockedAttention, of("neighbourhood", size, kernel_size=kernel_size))
    assert isinstance(module, PlainBlockedAttention)
    sides = (entries(side, lambda _, side=side: range(side), side - 1) for side in size)
    x = noise(2, *size, WIDTH)
    torch.testing.assert_close(module(x), expected(module, x, *sides), **CLOSE)


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (of("neighbourhood", (14, 14), kernel_size=7, window_stride=7), (14, 14)),
        (of("halo", (12, 16), halo=0), (12, 16)),
    ],
    ids=["stride of a whole kernel", "no halo"],
)
@torch.no_grad()
def test_blocks_that_see_themselves_are_windows_without_shift(spec: Signature, size: Sides) -> None:
    module = random(PlainBlockedAttention, spec)
    window = PlainWindow(of("window", size))
    state = {**module.state_dict(), "bias_table": module.bias_table.flatten(1)}
    window.load_state_dict(state)
    x = noise(1, *size, WIDTH)
    torch.testing.assert_close(module(x), window(x), **CLOSE)


def test_neighbourhoods_cost_their_keys_whatever_the_dilation() -> None:
    inner = 2 * HEAD_DIM
    for dilation in (1, 2, 4):
        spec = of("neighbourhood", (12, 16), kernel_size=3, dilation=dilation)
        assert spec.pick["dilation"] == dilation
        assert signature_cost(spec).attention == 2 * 12 * 16 * 9 * inner
        assert macs(spec) == 12 * 16 * inner * (4 * WIDTH + 2 * 9)


def test_picks_of_neighbourhoods_that_compute_the_same_are_one() -> None:
    whole_map = of("neighbourhood", (4, 4), kernel_size=9, dilation=3, window_stride=4).pick
    assert [whole_map[dim] for dim in ("kernel_size", "dilation", "window_stride")] == [4, 1, 1]
    strides = [
        of("neighbourhood", (12, 16), kernel_size=3, window_stride=stride).pick["window_stride"]
        for stride in (1, 2, 3, 4, 9)
    ]
    assert strides == [1, 2, 3, 3, 3]
    with pytest.raises(CandidateError, match="kernel_size 1, a neighbourhood of one"):
        of("neighbourhood", (8, 8), kernel_size=1)


@pytest.mark.parametrize(
    ("size", "block", "halo"), [((12, 16), (6, 8), (2, 2)), ((11, 6), (7, 6), (2, 0))]
)
@torch.no_grad()
def test_a_halo_is_global_attention_to_a_block_and_what_is_around_it(
    size: Sides, block: Sides, halo: Sides
) -> None:
    spec = of("halo", size, halo=2)
    assert spec.pick.sides("window_size") == block
    module = random(PlainBlockedAttention, spec)
    assert isinstance(module, PlainBlockedAttention)

    def around(side: int, part: int, halo: int) -> Seen:
        def seen(position: int) -> Sequence[int]:
            start = min(position // part * part, side - part)
            return range(max(start - halo, 0), min(start + part + halo, side))

        return seen

    sides = (
        entries(side, around(side, part, own), part + own - 1)
        for side, part, own in zip(size, block, halo, strict=True)
    )
    x = noise(2, *size, WIDTH)
    torch.testing.assert_close(module(x), expected(module, x, *sides), **CLOSE)


@pytest.mark.parametrize("stripe_width", [1, 2, 3, 6])
@torch.no_grad()
def test_stripes_are_global_attention_by_rows_or_by_columns_and_a_convolution(
    stripe_width: int,
) -> None:
    size = (4, 6)
    spec = of("cswin", size, heads=4, stripe_width=stripe_width)
    module = random(PlainCSWin, spec)
    assert isinstance(module, PlainCSWin)
    height, width = {1: (1, 1), 2: (2, 2), 3: (2, 3), 6: (4, 6)}[stripe_width]
    y, x = torch.meshgrid(*map(torch.arange, size), indexing="ij")
    masks = []
    for stripe in (y.flatten() // height, x.flatten() // width):
        masks += 2 * [stripe[:, None] == stripe]
    x_BHWC = noise(2, *size, WIDTH)
    q, k, v = whole(module, module.norm(x_BHWC))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.stack(masks))
    v_BHWC = side_by_side(v, size)
    weight = module.lepe.weight
    lepe = F.conv2d(v_BHWC.permute(0, 3, 1, 2), weight, module.lepe.bias, 1, 1, 1, len(weight))
    wanted = module.project(side_by_side(mixed, size) + lepe.permute(0, 2, 3, 1))
    torch.testing.assert_close(module(x_BHWC), wanted, **CLOSE)


def test_stripes_cost_what_cswin_says_and_their_convolution() -> None:
    """HWC (4 C + sw H + sw W), section 3.1 of Dong et al. (2022), where heads fill C."""
    for size, stripe_width in (((14, 14), 7), ((56, 56), 1), ((12, 16), 4)):
        spec = of("cswin", size, stripe_width=stripe_width)
        (height, width), c = size, WIDTH
        attention = height * width * c * (4 * c + stripe_width * (height + width))
        assert macs(spec) == attention + 9 * height * width * c


def test_weights_of_stripes_fit_maps_of_any_size() -> None:
    state = random(PlainCSWin, of("cswin", (12, 16))).state_dict()
    for size in ((7, 7), (8, 11)):
        module = PlainCSWin(of("cswin", size))
        module.load_state_dict(state)
        assert module(noise(1, *size, WIDTH)).shape == (1, *size, WIDTH)


def test_numbers_of_heads_are_rounded_up_to_pairs_of_both_directions() -> None:
    for heads, wanted in ((1, 2), (2, 2), (3, 4)):
        spec = of("cswin", (8, 8), heads=heads)
        assert (spec.pick["num_heads"], spec.kept["pairs"]) == (wanted, wanted // 2)


def cosines(module: PlainSwinV2, x_BHWC: Tensor) -> Tensor:
    """Logits without position bias, (B, N, positions, positions)."""
    q, k, _ = whole(module, x_BHWC)
    scale = module.log_scale.exp().clamp(max=100).reshape(-1, 1, 1)
    return scale * F.cosine_similarity(q[..., None, :], k[..., None, :, :], dim=-1)


@pytest.mark.parametrize(
    ("size", "shift"), [((6, 8), (0, 0)), ((12, 8), (3, 0)), ((11, 10), (3, 2))]
)
@torch.no_grad()
def test_swin_v2_is_global_attention_by_cosines_inside_of_shifted_windows(
    size: Sides, shift: Sides
) -> None:
    spec = of("swinv2", size, index=1)
    assert spec.pick.sides("shift") == shift
    module = random(PlainSwinV2, spec)
    assert isinstance(module, PlainSwinV2)

    def region(side: int, part: int, shift: int) -> Seen:
        return lambda position: [
            key for key in range(side) if (key - shift) // part == (position - shift) // part
        ]

    sides = (
        entries(side, region(side, part, by), part - 1)
        for side, part, by in zip(size, spec.pick.sides("window_size"), shift, strict=True)
    )
    x = noise(2, *size, WIDTH)
    weights = (cosines(module, x) + biases(module.bias(), *sides)).softmax(-1)
    mixed = module.mix(side_by_side(weights @ whole(module, x)[2], size))
    wanted = F.layer_norm(mixed, (WIDTH,), module.project.weight, module.project.bias, 1e-6)
    torch.testing.assert_close(module(x), wanted, **CLOSE)


@torch.no_grad()
def test_logits_of_swin_v2_are_bounded_however_large_its_queries_are() -> None:
    module = random(PlainSwinV2, of("swinv2", (8, 8)))
    assert isinstance(module, PlainSwinV2)
    module.qkv.weight.mul_(1e4)
    given: list[Tensor] = []
    module.attention.register_forward_pre_hook(lambda _, args: given.extend(args))
    for log_scale, most in ((0.5, 1.65), (50.0, 100.0)):
        given.clear()
        module.log_scale.fill_(log_scale)
        module(noise(1, 8, 8, WIDTH))
        q, k, _, table = given
        logits = q.flatten(2, 3) @ k.flatten(2, 3).transpose(-2, -1)
        assert 0.9 * most < logits.abs().max() <= most + 1e-4
        assert 0 < table.min() < table.max() < 16


@torch.no_grad()
def test_biases_of_a_network_are_stored_when_deployed() -> None:
    module = random(PlainSwinV2, of("swinv2", (6, 8)))
    found = folded(module)
    assert not [m for m in found.modules() if isinstance(m, ContinuousBias)]
    assert isinstance(found.bias, Stored)
    assert found.bias.values.shape == (2, 11, 15)
    x = noise(2, 6, 8, WIDTH)
    assert torch.equal(found(x), module(x))


@torch.no_grad()
def test_offsets_have_the_biases_that_they_have_in_other_windows() -> None:
    large, small = (random(PlainSwinV2, of("swinv2", (side, side))) for side in (8, 4))
    assert isinstance(large, PlainSwinV2)
    assert isinstance(small, PlainSwinV2)
    small.load_state_dict(large.state_dict())
    torch.testing.assert_close(small.bias(), large.bias()[:, 4:-4, 4:-4])
