"""Long convolutions are what their papers say, compared with sums written from these."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces import CandidateError, Options, Shape, Signature, signature_cost
from search_spaces.operators.longconv import THRESHOLD
from search_spaces.operators.sgconv import DECAY, PIECE, piece_lengths
from supernets._long_convolution import (
    AxialLongConvolution,
    FreeTaps,
    LongConvolution,
    StateSpaceTaps,
    StretchedPieces,
    squashed,
    stretched,
)
from supernets.fold import folded
from supernets.mixers._base import MIXERS
from supernets.mixers.longconv import ElasticLongConv, PlainLongConv
from supernets.mixers.orchid import PlainOrchid, waves
from supernets.mixers.tcnca import PlainTCNCA
from supernets.supernet import elementwise_largest
from tests.strategies import noise, randomise_, signature

MAKERS: dict[str, Callable[[int], nn.Module]] = {
    "sgconv": lambda side: StretchedPieces(3, side, len(piece_lengths(side))),
    "longconv": lambda side: FreeTaps(3, 2 * side - 1, "squash"),
    "s4d": lambda side: StateSpaceTaps(3, side, 4),
}


def of(operator: str, size: tuple[int, int], width: int, **pick: int | str) -> Signature:
    return signature(
        operator, Options({"expand_ratio": 1, **pick}), Shape(size, size, width, width)
    )


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("side", [4, 9, 16])
@torch.no_grad()
def test_a_long_convolution_is_a_product_of_spectra(maker: str, side: int) -> None:
    module = LongConvolution(3, side, MAKERS[maker](side), is_vertical=False)
    randomise_(module, seed=1)
    x_BCHW = noise(2, 3, 5, side)
    taps_CL, longest = module.taps(), 3 * side
    # F.conv2d correlates: a tap at distance d reads what is d pixels further.
    spectrum = torch.fft.rfft(x_BCHW, longest) * torch.fft.rfft(taps_CL.flip(1), longest)[:, None]
    whole = torch.fft.irfft(spectrum, longest)[..., side - 1 : 2 * side - 1]
    assert (module(x_BCHW) - whole - module.bias[:, None, None]).abs().max() <= 1e-4


@torch.no_grad()
def test_columns_and_rows_together_are_one_kernel_of_the_map() -> None:
    module = AxialLongConvolution(3, (5, 7), MAKERS["longconv"])
    randomise_(module, seed=2)
    module.vertical.bias.zero_()
    kernel = module.vertical.taps()[:, None, :, None] * module.horizontal.taps()[:, None, None]
    x_BHWC = noise(2, 5, 7, 3)
    expected = F.conv2d(x_BHWC.permute(0, 3, 1, 2), kernel, module.horizontal.bias, 1, (4, 6), 1, 3)
    assert (module(x_BHWC) - expected.permute(0, 2, 3, 1)).abs().max() <= 1e-5
    found = folded(module.eval())
    assert [type(m) for m in found.children()] == 2 * [nn.Conv2d]
    assert (found(x_BHWC) - module(x_BHWC)).abs().max() <= 1e-5


def test_parameters_of_pieces_grow_with_the_logarithm_of_the_length() -> None:
    params = []
    for side in (8, 16, 32, 64, 128):
        own = of("sgconv", (side, side), 1)
        without = of("longconv", (side, side), 1)
        params.append(signature_cost(own).params)
        assert signature_cost(own).macs == signature_cost(without).macs
        assert signature_cost(without).params > params[-1]
    assert {b - a for a, b in pairwise(params)} == {2 * 2 * PIECE}


@pytest.mark.parametrize("side", range(3, 66, 7))
def test_pieces_are_interpolated_and_decay(side: int) -> None:
    lengths = piece_lengths(side)
    assert sum(lengths) == side - 1
    assert min(lengths) >= PIECE
    parts = noise(len(lengths), PIECE)
    expected = [
        DECAY**i * F.interpolate(part[None, None], length, mode="linear").flatten()
        for i, (part, length) in enumerate(zip(parts, lengths, strict=True))
    ]
    table_PL = stretched(lengths)
    assert torch.allclose(parts.flatten() @ table_PL, torch.cat(expected), atol=1e-6)
    norms = [float(part.norm()) for part in (torch.ones(parts.numel()) @ table_PL).split(lengths)]
    assert norms == sorted(norms, reverse=True)
    assert (table_PL != 0).any(1).all()


def test_small_taps_are_0_and_get_gradients() -> None:
    taps = torch.tensor([-3.0, -0.5, 0.0, 1.0, 2.0]).mul(THRESHOLD).requires_grad_()
    found = squashed(taps)
    expected = torch.tensor([-2.0, 0.0, 0.0, 0.0, 1.0]) * THRESHOLD
    assert torch.allclose(found, expected, atol=1e-9)
    assert (found[1:4] == 0).all()
    found.sum().backward()
    assert taps.grad is not None
    assert (taps.grad == 1).all()


@torch.no_grad()
def test_a_smoothed_kernel_is_a_mean_of_neighbouring_taps() -> None:
    module = FreeTaps(2, 9, "smooth")
    randomise_(module, seed=3)
    padded = F.pad(module.weight, (1, 1))
    expected = torch.stack([padded[:, i : i + 3].sum(1) / 3 for i in range(9)], 1)
    assert torch.allclose(module(), expected, atol=1e-6)


@torch.no_grad()
def test_a_smaller_map_has_the_centre_of_a_kernel() -> None:
    large, small = (of("longconv", size, 4, regulariser="none") for size in ((16, 12), (8, 12)))
    family = ElasticLongConv(large)
    plain = PlainLongConv(small)
    plain.load_state_dict(family.weights(small))
    assert isinstance(family.full, PlainLongConv)
    whole = family.full.conv.vertical.taps()
    assert torch.equal(plain.conv.vertical.taps(), whole[:, 8:23])


@pytest.mark.parametrize("operator", ["sgconv", "longconv", "s4d", "orchid"])
def test_a_smaller_map_uses_weights_of_a_larger_one(operator: str) -> None:
    large, small = (of(operator, size, 4, num_modes=2) for size in ((16, 12), (8, 12)))
    family = MIXERS.get(operator)(elementwise_largest([small, large]))
    plain = family.plain(small)
    plain.load_state_dict({name: w.detach() for name, w in family.weights(small).items()})
    assert not type(family).is_sized
    assert plain(noise(2, 8, 12, 4)).shape == (2, 8, 12, 4)


@torch.no_grad()
def test_a_state_space_is_the_recurrence_that_it_is_defined_by() -> None:
    side, modes = 12, 3
    module = LongConvolution(2, side, StateSpaceTaps(2, side, modes), is_vertical=True).double()
    randomise_(module, seed=4)
    module.bias.zero_()
    taps, x_CL = module.taps, noise(2, side, seed=5).double()
    assert isinstance(taps, StateSpaceTaps)
    a_CM = torch.complex(-taps.log_decay.exp(), taps.frequency)
    step_C1 = taps.log_step.exp()[:, None]
    kept_CM = torch.exp(step_C1 * a_CM)
    held_CM = (kept_CM - 1) / a_CM
    expected = taps.skip[:, None] * x_CL
    for is_backward, order in enumerate((range(side), reversed(range(side)))):
        states_CM = torch.zeros_like(a_CM)
        c_CM = torch.view_as_complex(taps.coefficients[:, is_backward].contiguous())
        for place in order:
            before_C = (c_CM * states_CM).sum(1)
            states_CM = kept_CM * states_CM + held_CM * x_CL[:, place, None]
            answer_C = before_C if is_backward else (c_CM * states_CM).sum(1)
            expected[:, place] += 2 * answer_C.real
    found = module(x_CL[None, :, :, None])[0, :, :, 0]
    assert (found - expected).abs().max() <= 1e-4


def orchid(size: tuple[int, int]) -> PlainOrchid:
    module = PlainOrchid(of("orchid", size, 6))
    randomise_(module, seed=6)
    return module.eval()


@pytest.mark.parametrize("size", [(8, 8), (5, 12), (7, 9)])
@torch.no_grad()
def test_a_cyclic_shift_of_the_map_is_one_of_the_output(size: tuple[int, int]) -> None:
    module, x_BHWC = orchid(size), noise(2, *size, 6)
    moved = module(x_BHWC.roll((3, 2), (1, 2)))
    assert (moved - module(x_BHWC).roll((3, 2), (1, 2))).abs().max() <= 1e-4


@pytest.mark.parametrize("size", [(8, 8), (5, 12)])
@torch.no_grad()
def test_spectra_times_gains_are_a_circular_convolution(size: tuple[int, int]) -> None:
    module, (height, length) = orchid(size), size
    x_BHWC = noise(2, *size, 6)
    spectra = module.waves(x_BHWC, 6)
    gains = module.conditioning(spectra)
    rows, columns = ([min(f, side - f) for f in range(side)] for side in size)
    whole_BHWC = gains[:, 0, :, 0][:, rows][:, :, columns]
    kernel_BHWC = torch.fft.ifft2(whole_BHWC.to(torch.complex64), dim=(1, 2)).real
    expected = torch.zeros_like(x_BHWC)
    for y in range(height):
        for x in range(length):
            expected += kernel_BHWC[:, y, x, None, None] * x_BHWC.roll((y, x), (1, 2))
    assert (module.waves.inverse(spectra * gains, 6) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("side", [4, 5, 8])
def test_waves_are_orthonormal(side: int) -> None:
    table = waves(side)
    assert torch.allclose(table.T @ table, torch.eye(side), atol=1e-6)


def test_a_kernel_of_the_map_s_own_costs_less_than_comparing_all_positions() -> None:
    """Pixels to the power 1.5 instead of 2; a fast transform would have a logarithm."""
    small, large = (signature_cost(of("orchid", (s, s), 8)).attention for s in (16, 64))
    assert 1.4 < math.log(large / small, 16) < 1.5


@torch.no_grad()
def test_dilated_convolutions_see_nearly_the_whole_map_before_attention_does() -> None:
    module = PlainTCNCA(of("tcnca", (16, 16), 4, num_heads=1)).eval()
    randomise_(module, seed=7)

    def seen(x_BCHW: Tensor) -> Tensor:
        output: Tensor = module.dilated(x_BCHW)
        return output

    for layer in module.dilated:
        layer.conv.act = nn.Identity()
    x_BCHW = noise(1, 4, 16, 16)
    changed = x_BCHW.clone()
    changed[:, :, 8, 8] += 1
    moved_HW = (seen(changed) != seen(x_BCHW)).any(dim=(0, 1))
    assert moved_HW.all()


@torch.no_grad()
def test_without_dilated_convolutions_there_is_window_attention() -> None:
    module = PlainTCNCA(of("tcnca", (8, 6), 4, num_heads=2)).eval()
    randomise_(module, seed=8)
    for layer in module.dilated:
        nn.init.zeros_(layer.conv.norm.weight)
        nn.init.zeros_(layer.conv.norm.bias)
    x_BHWC = noise(2, 8, 6, 4)
    assert torch.equal(module(x_BHWC), module.attention(x_BHWC))


@pytest.mark.parametrize("operator", ["sgconv", "longconv", "s4d"])
def test_a_map_without_room_for_a_long_kernel_is_refused(operator: str) -> None:
    with pytest.raises(CandidateError, match="Offer maps of 3 px or more"):
        of(operator, (2, 8), 4, num_modes=2)
