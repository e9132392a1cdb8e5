"""Declared costs against the formulas of the papers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    FORMATS,
    Cost,
    Options,
    Shape,
    Signature,
    UserError,
    check_precisions,
    format_of,
    signature_cost,
)
from search_spaces import _layers as layers
from search_spaces.formats import int4w, int8_dynamic
from tests.strategies import signature

sides, widths, ratios = st.integers(4, 56), st.sampled_from([8, 16, 24, 64]), st.integers(1, 6)


def place(side: int, width: int, head_dim: int = 8) -> Shape:
    return Shape.square(side, side, width, width, 0, head_dim)


@given(sides, widths, st.integers(2, 6), st.sampled_from([3, 5, 7]))
def test_an_inverted_residual_costs_what_mobilenetv2_says(
    side: int, width: int, ratio: int, kernel_size: int
) -> None:
    """h * w * d' * t * (d' + k ** 2 + d''), section 3.3 of Sandler et al. (2018)."""
    pick = Options({"kernel_size": kernel_size, "expand_ratio": ratio})
    found = signature_cost(signature("mbconv", pick, place(side, width)))
    assert found.macs == side * side * width * ratio * (width + kernel_size**2 + width)
    assert found.depthwise == side * side * width * ratio * kernel_size**2


@given(sides, widths, ratios, st.sampled_from([3, 5, 7]))
def test_a_convnext_block_is_a_depthwise_convolution_and_two_matrices(
    side: int, width: int, ratio: int, kernel_size: int
) -> None:
    pick = Options({"kernel_size": kernel_size, "expand_ratio": ratio})
    found = signature_cost(signature("convnext", pick, place(side, width)))
    assert found.macs == side**2 * (width * kernel_size**2 + 2 * ratio * width**2)


@given(st.sampled_from([4, 7, 8, 14, 16, 28, 56]), st.integers(1, 4), ratios)
def test_window_attention_costs_what_swin_says(side: int, heads: int, ratio: int) -> None:
    """4 h w C ** 2 + 2 M ** 2 h w C, equation (2) of Liu et al. (2021), where heads fill C."""
    width = 8 * heads
    pick = Options({"num_heads": heads, "expand_ratio": ratio})
    spec = signature("window", pick, place(side, width))
    window = spec.pick.number("window_size")
    pixels = side * side
    attention = 4 * pixels * width**2 + 2 * window**2 * pixels * width
    assert signature_cost(spec).macs == attention + 2 * ratio * pixels * width**2
    assert signature_cost(spec).attention == 2 * window**2 * pixels * width


def test_one_window_on_9_px_costs_half_of_padded_windows_of_7() -> None:
    pick = Options({"num_heads": 2, "expand_ratio": 2})
    spec = signature("window", pick, Shape.square(9, 9, 48, 48, 0, 16))
    older = replace(spec, pick=Options({**spec.pick, "window_size": 7}))
    channel_part = 2 * 2 * 81 * 48**2
    assert signature_cost(spec).macs - channel_part == 917_568
    assert signature_cost(older).macs - channel_part == 1_818_880


@given(sides, widths, ratios)
def test_raft_mixing_is_two_matrices_of_raft_times_side_per_axis(
    side: int, width: int, ratio: int
) -> None:
    found = signature_cost(signature("raft", Options({"expand_ratio": ratio}), place(side, width)))
    vectors, length = side * width // 2, 2 * side
    token_mixing = 2 * vectors * (length * 2 * length + 2 * length * length)
    assert found.macs == token_mixing + 2 * ratio * side**2 * width**2


def test_stem_downsampling_and_head_are_convolutions_and_a_classifier() -> None:
    stem = Signature("stem", Shape.square(32, 16, 3, 24), Options({"stride": 2}), Options(), "fp32")
    assert signature_cost(stem).macs == 16 * 16 * 3 * 24 * 9
    down = Signature("downsample", Shape.square(16, 8, 24, 48), Options(), Options(), "fp32")
    assert signature_cost(down).macs == 8 * 8 * 24 * 48 * 9
    head = Signature("head", Shape.square(4, 1, 48, 10), Options(), Options(), "fp32")
    assert signature_cost(head).macs == 4 * 4 * 48 * 48 * 9 + 48 * 10


def test_eight_bits_take_a_quarter_of_the_weights_and_scales_per_channel() -> None:
    cost = Cost(weights=4000, vectors=40, channels=20, graph_bytes=100)
    assert format_of("fp32").size_bytes(cost) == 4 * 4040 + 100
    assert format_of("int8").size_bytes(cost) == 4000 + 4 * 40 + 8 * 20 + 100


def test_eight_bit_weights_alone_need_a_scale_per_channel_and_nothing_for_biases() -> None:
    cost = Cost(weights=4000, vectors=40, channels=20)
    assert format_of("int8w").size_bytes(cost) == 4000 + 4 * 40 + 4 * 20


def test_formats_of_matrices_leave_convolutions_to_another_format() -> None:
    convolutions = Cost(weights=900, vectors=20, channels=10, layers=1)
    both = (
        convolutions
        + layers.matrix(1, 40, 10)
        + Cost(weights=400, channels=10, layers=1, grouped=400)
    )
    assert both.but_matrices == convolutions
    of_dynamic = 400 + 4 * 10 + int8_dynamic.MATRIX_BYTES
    of_few = 10 * 2 * (16 + 4) + int4w.MATRIX_BYTES
    dynamic, few = format_of("int8-dynamic"), format_of("int4w")
    assert dynamic.size_bytes(both) - dynamic.size_bytes(convolutions) == of_dynamic
    assert dynamic.size_bytes(convolutions) == format_of("int8w").size_bytes(convolutions)
    assert few.size_bytes(both) - few.size_bytes(convolutions) == of_few
    assert few.size_bytes(convolutions) == format_of("int8w").size_bytes(convolutions)
    assert (dynamic.bits, few.bits) == ((8, 8, 8, 32), (4, 32, 8, 32))


def test_bit_cost_is_linear_in_bits_and_products_of_activations_stay_in_fp32() -> None:
    linear, convolution = layers.linear(9, 8, 4), layers.conv(9, 8, 4, 1)
    attention = Cost(attention=100)
    for precision, of_linear, of_convolution in (
        ("fp32", 2.0, 2.0),
        ("int8", 0.5, 0.5),
        ("int8w", 1.25, 1.25),
        ("int8-dynamic", 0.5, 1.25),
        ("int4w", 1.125, 1.25),
        ("fp8-e4m3", 0.5, 0.5),
    ):
        bit_ops = format_of(precision).bit_ops
        assert bit_ops(linear) == of_linear * linear.macs
        assert bit_ops(convolution) == of_convolution * convolution.macs
        assert bit_ops(linear + convolution + attention) == (
            bit_ops(linear) + bit_ops(convolution) + 2.0 * 100
        )


def test_unknown_precisions_are_told_the_known_ones() -> None:
    check_precisions(FORMATS.names())
    with pytest.raises(UserError, match=r"unknown precision 'int7'. Known: .*Did you mean 'int8'"):
        check_precisions(("fp32", "int7"))
