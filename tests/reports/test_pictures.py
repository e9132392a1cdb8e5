"""A network as a drawing."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reports import load_run, pictures
from reports.records import Member

NewRun = Callable[..., Path]
ARCH = {
    "stage1.width": 16,
    "stage1.block1.operator": "mbconv",
    "stage2.width": 32,
    "stage2.block1.operator": "window",
    "stage2.block2.operator": "raft",
}
POLICY = {"stage1.precision": "fp32", "stage2.precision": "int8", "stage2.sparsity": 0.25}


@pytest.fixture
def member(new_run: NewRun) -> Member:
    drawn = load_run(new_run(trials=5, front=1)).front[0]
    shape = {"shape": ["batch", 1, 16, 16]}
    return dataclasses.replace(drawn, arch=ARCH, policy=POLICY, input=shape)


def test_a_picture_shows_stages_blocks_sizes_and_policy(member: Member) -> None:
    drawn = pictures.picture(member, pictures.Ink.of([member]))
    assert re.findall(r'class="letter">(.)<', drawn) == ["M", "W", "R"]
    for text in ("stage1 · 8 px", "stage2 · 4 px", "width 16", "width 32", "int8 −25 %", "fp32"):
        assert f">{text}<" in drawn
    assert drawn.count("stage-box low") == 1
    assert 'fill="url(#pattern-attention)"' in drawn
    assert 'fill="url(#pattern-mixer)"' in drawn


def test_sparsity_empties_a_part_of_the_box(member: Member) -> None:
    drawn = pictures.picture(member, pictures.Ink.of([member]))
    outline = [float(h) for h in re.findall(r'height="([0-9.]+)" rx="4" class="outline"', drawn)]
    kept = [float(h) for h in re.findall(r'height="([0-9.]+)" rx="4" class="kept', drawn)]
    assert kept[0] == outline[0]
    assert kept[1] == pytest.approx(0.75 * outline[1], abs=0.1)
    assert outline[0] < outline[1]


def test_the_words_stand_in_the_picture_for_who_cannot_see_it(member: Member) -> None:
    drawn = pictures.picture(member, pictures.Ink.of([member]))
    assert 'aria-label="stage1: width 16, fp32: mbconv; stage2: width 32, int8' in drawn


def test_maps_follow_the_stem(member: Member) -> None:
    changed = dataclasses.replace(member, arch={**member.arch, "stem.stride": 1})
    assert pictures.map_sizes(changed, 2) == [16, 8]


@pytest.mark.parametrize("shape", [None, [], ["batch", 1, 64, 64], ["b", 1, 9, 9], [1, 1, 1, "x"]])
def test_maps_of_unknown_size_have_no_size(member: Member, shape: object) -> None:
    changed = dataclasses.replace(member, input={"shape": shape})
    assert pictures.map_sizes(changed, 2) == [None, None]


def test_the_legend_explains_every_letter_by_its_declaration(member: Member) -> None:
    drawn = pictures.legend(pictures.Ink.of([member]))
    words = "<b>window</b> (attention): Window attention with a relative position bias.</span>"
    assert words in drawn
