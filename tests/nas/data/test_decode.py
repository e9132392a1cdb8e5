"""Pixels of every mode are what they should be, whatever the file."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nas.data import load_data
from nas.data._decode import FORMATS, decode, read_header
from nas.data._resize import (
    OWN_RESOLUTIONS,
    USUAL_RESOLUTIONS,
    centre,
    choose_resolution,
    crop_rule,
)
from nas.data.image_folder import SUFFIXES
from search_spaces import Resolution, Sides, UserError, read_sides
from search_spaces._resolution import pyramid
from tests.own_data import encoded, picture

SIDE = 8
RGB_HWC = np.asarray(picture(0, SIDE))
GREY_HW = RGB_HWC[..., 0]


def pixels(content: bytes, *, is_grey: bool = False, resolution: Resolution = SIDE) -> np.ndarray:
    """Decoded, as (H, W, C) or (H, W)."""
    found = decode(content, "x", is_grey=is_grey, resolution=resolution)
    return found[0] if is_grey else found.transpose(1, 2, 0)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_rgb_is_kept(kind: str) -> None:
    assert np.array_equal(pixels(encoded(picture(0, SIDE), kind)), RGB_HWC)


def test_grey_is_one_channel_or_three_equal_ones() -> None:
    content = encoded(Image.fromarray(GREY_HW))
    assert np.array_equal(pixels(content, is_grey=True), GREY_HW)
    assert np.array_equal(pixels(content), np.repeat(GREY_HW[..., None], 3, axis=2))
    assert read_header(content, "x").is_grey


def test_one_bit_is_black_and_white() -> None:
    content = encoded(Image.fromarray(GREY_HW > 127))
    assert np.array_equal(pixels(content, is_grey=True), np.where(GREY_HW > 127, 255, 0))


def test_sixteen_bit_is_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        content = encoded(Image.fromarray(values), kind)
        assert read_header(content, "x").is_grey
        assert np.array_equal(pixels(content, is_grey=True), np.rint(values / 257))
        assert np.array_equal(pixels(content)[..., 2], np.rint(values / 257))
    content = encoded(Image.fromarray(values.astype(np.int32)), "TIFF")
    assert np.array_equal(pixels(content, is_grey=True), np.rint(values / 257))


def test_floats_are_fractions_of_white_or_out_of_255() -> None:
    fractions = (GREY_HW / 255).astype(np.float32)
    for values in (fractions, GREY_HW.astype(np.float32)):
        content = encoded(Image.fromarray(values), "TIFF")
        assert np.array_equal(pixels(content, is_grey=True), GREY_HW)


@pytest.mark.parametrize("wrong", [-1.0, 256.0, np.nan, np.inf])
def test_floats_beyond_white_are_refused(wrong: float) -> None:
    values = np.full((SIDE, SIDE), wrong, np.float32)
    with pytest.raises(UserError, match=r"data file 'x' cannot be read: its float values go from"):
        pixels(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("alpha", [0, 100, 255])
def test_transparency_is_laid_on_white(alpha: int) -> None:
    image = picture(0, SIDE)
    image.putalpha(alpha)
    expected = RGB_HWC * (alpha / 255) + 255 * (1 - alpha / 255)
    assert np.abs(pixels(encoded(image)) - expected).max() <= 1
    grey = Image.fromarray(GREY_HW)
    grey.putalpha(alpha)
    assert read_header(encoded(grey), "x").is_grey
    expected = GREY_HW * (alpha / 255) + 255 * (1 - alpha / 255)
    assert np.abs(pixels(encoded(grey), is_grey=True) - expected).max() <= 1


@pytest.mark.parametrize("has_transparency", [False, True])
def test_palette_colours_are_looked_up(has_transparency: bool) -> None:
    image = Image.fromarray((GREY_HW % 3).astype(np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 250])
    stream = io.BytesIO()
    image.save(stream, "PNG", **({"transparency": 1} if has_transparency else {}))
    table = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 250]])
    if has_transparency:
        table[1] = 255
    assert not read_header(stream.getvalue(), "x").is_grey
    assert np.array_equal(pixels(stream.getvalue()), table[GREY_HW % 3])


def test_a_grey_png_with_a_transparent_value_is_white_there() -> None:
    stream = io.BytesIO()
    Image.fromarray(GREY_HW).save(stream, "PNG", transparency=int(GREY_HW[0, 0]))
    expected = np.where(GREY_HW[0, 0] == GREY_HW, 255, GREY_HW)
    assert np.array_equal(pixels(stream.getvalue(), is_grey=True), expected)


def test_cmyk_and_ycbcr_become_rgb() -> None:
    ink = Image.new("CMYK", (SIDE, SIDE), (255, 0, 0, 0))
    assert np.array_equal(pixels(encoded(ink, "TIFF"))[0, 0], [0, 255, 255])
    found = pixels(encoded(ink, "JPEG"))[0, 0].astype(int)
    assert np.abs(found - [0, 255, 255]).max() <= 2
    red = Image.new("RGB", (SIDE, SIDE), (250, 10, 10)).convert("YCbCr")
    assert np.abs(pixels(encoded(red, "TIFF"))[0, 0].astype(int) - [250, 10, 10]).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int) -> None:
    upright = np.zeros((6, 10, 3), np.uint8)
    upright[0, 0], upright[0, -1], upright[-1, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(stream, "PNG", exif=exif)
    assert np.array_equal(pixels(stream.getvalue(), resolution=6), upright[:, 2:8])
    assert np.array_equal(pixels(stream.getvalue(), resolution="6x10"), upright)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_height_and_width_are_known_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    picture(0, 10, 6).save(stream, kind, exif=exif)
    header = read_header(stream.getvalue(), "x")
    found = decode(stream.getvalue(), "x", is_grey=False, resolution="6x10").shape
    assert (header.height, header.width) == ((6, 10) if orientation < 5 else (10, 6))
    assert found == (3, 6, 10)


def test_the_centre_square_is_taken_and_resized_with_antialiasing() -> None:
    image = picture(3, 40, 24)
    found = pixels(encoded(image), resolution=8)
    square = image.crop((8, 0, 32, 24)).resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(found, np.asarray(square))
    assert found.std() < 0.5 * np.asarray(image).std(), "noise is averaged"


def test_the_centre_of_another_shape_is_taken_and_resized() -> None:
    image = picture(3, 40, 24)
    for wanted, box in (
        ("12x20", (0, 0, 40, 24)),
        ("24x8", (16, 0, 24, 24)),
        ("6x40", (0, 9, 40, 15)),
        ("7x9", (4, 0, 35, 24)),  # 24 * 9 / 7 = 30.9 pixels of 40
    ):
        height, width = read_sides(wanted)
        part = image.crop(box).resize((width, height), Image.Resampling.BILINEAR)
        assert np.array_equal(pixels(encoded(image), resolution=wanted), np.asarray(part))


sides = st.tuples(st.integers(1, 300), st.integers(1, 300))


@given(sides, sides)
def test_the_centre_has_one_whole_side_and_the_wanted_ratio(own: Sides, wanted: Sides) -> None:
    top, left, *part = centre(own, wanted)
    height, width = part
    assert height == own[0] or width == own[1]
    bounds = zip((top, left), part, own, strict=True)
    assert all(before >= 0 and before + length <= whole for before, length, whole in bounds)
    assert 0 <= own[0] - height - 2 * top <= 1
    assert 0 <= own[1] - width - 2 * left <= 1
    exact = (
        max(1, width * wanted[0] / wanted[1]) if width == own[1] else height,
        max(1, height * wanted[1] / wanted[0]) if height == own[0] else width,
    )
    assert abs(height - exact[0]) <= 0.5 or height == own[0]
    assert abs(width - exact[1]) <= 0.5 or width == own[1]


def test_an_animation_is_its_first_frame() -> None:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ("red", "blue")]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(pixels(stream.getvalue())[0, 0], [255, 0, 0])


def test_an_image_too_large_to_be_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(UserError, match="exceeds limit"):
        read_header(encoded(picture(0, SIDE)), "x")


def test_damaged_metadata_do_not_hide_the_pixels() -> None:
    stream = io.BytesIO()
    picture(0, SIDE).save(stream, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert np.array_equal(pixels(stream.getvalue()), RGB_HWC)


def test_the_own_size_is_kept_if_it_is_one_and_the_usual_one_below_the_median_taken_else() -> None:
    assert choose_resolution([(28, 28)], 28) == 28
    assert choose_resolution([(28, 30), (30, 28)], 28) == 24
    assert choose_resolution([(500, 375), (300, 400)], 375) == 224
    assert choose_resolution([(70, 70), (72, 72)], 70) == 64
    assert choose_resolution([(9, 9)], 9) == 16
    assert choose_resolution([(512, 512)], 512) == 224


def test_images_of_one_shape_keep_it() -> None:
    for size, chosen in {
        (28, 30): "28x30",
        (30, 28): "30x28",
        (480, 640): "192x256",
        (1080, 1920): "128x228",
        (8, 10): "16x20",
        (128, 1000): "32x250",
        (2000, 100): 96,  # longer than any space allows
    }.items():
        assert choose_resolution([size], min(size)) == chosen


@given(sides)
def test_every_resolution_that_is_chosen_is_one_that_spaces_allow(own: Sides) -> None:
    assert pyramid(choose_resolution([own], min(own))).sizes
    for resolution in {*OWN_RESOLUTIONS, *USUAL_RESOLUTIONS}:
        assert pyramid(resolution).sizes


def test_what_is_done_is_said_in_words() -> None:
    assert crop_rule([(32, 32)], 32) == "none"
    assert crop_rule([(64, 64)], 32) == "Pillow bilinear on uint8, 64 x 64 to 32 x 32"
    assert crop_rule([(32, 40), (50, 32)], 32) == "centre square of 32 x 32"
    assert crop_rule([(64, 80)], 32) == (
        "centre square of the shorter side, Pillow bilinear on uint8 to 32 x 32"
    )
    assert crop_rule([(64, 80)], "64x80") == "none"
    assert crop_rule([(64, 80), (64, 90)], "64x80") == (
        "centre rectangle of 64 x 80 (height x width)"
    )
    assert crop_rule([(64, 80)], "32x40") == (
        "Pillow bilinear on uint8, 64 x 80 (height x width) to 32 x 40 (height x width)"
    )
    assert crop_rule([(64, 80), (9, 9)], "32x40") == (
        "centre rectangle of 32 : 40 (height : width), its sides rounded, "
        "Pillow bilinear on uint8 to 32 x 40 (height x width)"
    )


def test_one_colour_image_makes_all_rgb_and_none_keeps_them_grey(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(GREY_HW).save(tmp_path / "in" / name / f"{number}.png")
    grey = load_data(str(tmp_path / "in"), cache=tmp_path / "cache")
    assert grey.channels == len(grey.mean) == 1
    picture(0, SIDE).save(tmp_path / "in" / "b" / "colour.png")
    colour = load_data(str(tmp_path / "in"), cache=tmp_path / "cache")
    assert colour.channels == len(colour.mean) == 3


def test_only_pictures_that_are_decoded_in_this_process_are_opened() -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    assert Image.open(io.BytesIO(script)).format == "EPS"
    with pytest.raises(UserError, match="it is no image of a kind that is known"):
        read_header(script, "x.png")
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in SUFFIXES if suffix in known} <= {*FORMATS}
