"""The page of spaces has all that a stage may offer, and says of every operator what it reads."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces import declaration
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_parts._base import CHANNEL_PARTS
from search_spaces.norms import NORMS
from search_spaces.operators._base import OPERATORS, SLOT_DIMS, AbstractMixer
from search_spaces.trunk._base import TRUNK

PAGE = Path(__file__).parents[2] / "docs/spaces.md"
TRUNK_HEADINGS = (
    *("stem", "downsampling", "upsampling", "head", "part of a decoder", "around blocks"),
)


def tables() -> Iterator[tuple[list[str], list[list[str]]]]:
    """Headings and rows of every table."""
    text = PAGE.read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [line.strip("|").split("|") for line in table.splitlines()]
        headings, _, *rows = [[cell.strip() for cell in line] for line in lines]
        yield headings, rows


def names_under(*headings: str) -> list[str]:
    """What stands in the first column of tables with these headings of it."""
    found = [row[0] for (first, *_), rows in tables() if first in headings for row in rows]
    return [re.findall(r"`(.*?)`", cell)[0] for cell in found]


@pytest.mark.parametrize(
    ("headings", "names"),
    [
        (("operator",), OPERATORS.names()),
        (("channel part",), CHANNEL_PARTS.names()),
        (("name",), [*NORMS.names(), *CHANNEL_ATTENTIONS.names()]),
        (TRUNK_HEADINGS, TRUNK.names()),
    ],
)
def test_everything_has_one_row(headings: tuple[str, ...], names: list[str]) -> None:
    assert sorted(names_under(*headings)) == sorted(names)


def test_a_row_says_what_the_operator_reads() -> None:
    rows = next(rows for headings, rows in tables() if headings[0] == "operator")
    for name, _, reads in rows:
        rule = declaration(name.strip("`"))
        shared = SLOT_DIMS if isinstance(rule, AbstractMixer) else ()
        said = set(re.findall(r"`(.*?)`", reads))
        assert {*rule.dims} - {*shared} <= said, f"{name} also reads some of {rule.dims}"
