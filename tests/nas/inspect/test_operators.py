"""`nas space operators`: all of them, with costs by the declarations."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nas.inspect.operators import described
from search_spaces.operators import OPERATORS
from tests.commands import exit_code


def test_every_operator_is_there_with_what_a_block_costs() -> None:
    found = {one.name: one for one in described(width=64, side=14)}
    assert list(found) == OPERATORS.names()
    assert all(one.macs is not None and one.meaning for one in found.values())
    assert {n for n, one in found.items() if not one.params} == {"avgpool", "identity", "maxpool"}
    pixels, width, hidden = 14 * 14, 64, 4 * 64
    assert found["convnext"].macs == pixels * (49 * width + 2 * width * hidden)
    assert found["convnext"].reads == ("kernel_size", "expand_ratio", "[channel_part]", "[repeats]")


def test_the_command_prints_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("space", "operators", "--width", 16, "--side", 8, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == OPERATORS.names()
    assert all(row["macs"] < 10e6 for row in rows)


def test_one_operator_is_said_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "mbconv.svg"
    asked = ("--width", 16, "--side", 8, "--picture", picture)
    assert exit_code("space", "operators", "mbconv", *asked) == 0
    said = capsys.readouterr().out
    assert "linear bottleneck" in said
    assert "Source: Sandler et al." in said
    assert "odd whole numbers from 1 to 255" in said
    root = ElementTree.fromstring(picture.read_text())
    titles = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"input", "expand", "depthwise", "project", "add", "output"} <= titles
    assert exit_code("space", "operators", "--picture", picture) == 2
    assert "none is named" in capsys.readouterr().err
    assert exit_code("space", "operators", "mbconf") == 2
    assert "Did you mean 'mbconv'" in capsys.readouterr().err
