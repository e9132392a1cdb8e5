"""The page of techniques says what the code does: a name, its paper, and a test that exists."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from search_spaces import Options, Shape, declaration, signature_cost, stem_of
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_attentions._base import NO_ATTENTION
from search_spaces.operators._base import OPERATORS
from tests.strategies import signature

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/techniques.md"
FOLDERS = ("operators", "channel_attentions", "norms", "trunk")
"""Of declarations that papers are of."""


class Row(NamedTuple):
    """Of the table."""

    id: str
    paper: str
    operator: str
    test: str
    departures: str


def rows() -> list[Row]:
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return [Row(*row) for row in cells[2:]]


by_row = pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.id} {row.operator}")


def words_of(text: str) -> str:
    return " ".join(text.split())


def test_every_operator_has_a_row_and_no_id_has_two() -> None:
    named = {re.findall(r"`(.*?)`", row.operator)[0] for row in rows()}
    assert named >= {*OPERATORS.names(), *CHANNEL_ATTENTIONS.names()} - {NO_ATTENTION}
    ids = [row.id for row in rows() if row.id != "-"]
    assert ids == sorted(set(ids))


@by_row
def test_the_declaration_names_the_paper_and_reads_the_option(row: Row) -> None:
    operator, *options = re.findall(r"`(.*?)`", row.operator)
    files = [ROOT / f"search_spaces/{folder}/{stem_of(operator)}.py" for folder in FOLDERS]
    (file,) = [file for file in files if file.is_file()]
    text = words_of(file.read_text(encoding="utf-8").split('"""')[1])
    *authors, title = words_of(row.paper.partition(" (")[0]).split(", ")
    year = re.findall(r"\((\d+)\)", row.paper)[0]
    assert title in text
    assert year in text
    assert all(author in text for author in authors)
    assert not options or set(options) <= set(declaration(operator).dims)
    assert row.departures


@by_row
def test_what_checks_it_exists(row: Row) -> None:
    file, _, name = row.test.strip("`").partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_a_basic_block_is_two_full_convolutions() -> None:
    found = signature_cost(signature("basic", Options({}), Shape.square(8, 8, 16, 16)))
    assert found.macs == found.dense == 2 * 64 * 9 * 16**2
