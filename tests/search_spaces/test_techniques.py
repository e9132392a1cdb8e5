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
    """Of a table."""

    id: str
    paper: str
    name: str
    test: str
    departures: str

    @property
    def words_of_paper(self) -> list[str]:
        """Title, authors and year, as far as they are given."""
        *authors, title = words_of(self.paper.partition(" (")[0]).split(", ")
        return [title, *authors, *re.findall(r"\((\d+)\)", self.paper)]


def words_of(text: str) -> str:
    return " ".join(text.split())


def rows_below(title: str) -> list[Row]:
    below = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in below.splitlines()
        if line.startswith("|")
    ]
    return [Row(*row) for row in cells[2:]]


OF_OPERATORS, OF_METHODS = rows_below("Operators and options"), rows_below("Methods")


def by_row(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=lambda row: f"{row.id} {row.name}")


def test_every_operator_has_a_row_and_no_id_has_two() -> None:
    named = {re.findall(r"`(.*?)`", row.name)[0] for row in OF_OPERATORS}
    assert named >= {*OPERATORS.names(), *CHANNEL_ATTENTIONS.names()} - {NO_ATTENTION}
    for rows in (OF_OPERATORS, OF_METHODS):
        ids = [row.id for row in rows if row.id != "-"]
        assert ids == sorted(set(ids))


@by_row(OF_OPERATORS)
def test_the_declaration_names_the_paper_and_reads_the_option(row: Row) -> None:
    operator, *options = re.findall(r"`(.*?)`", row.name)
    files = [ROOT / f"search_spaces/{folder}/{stem_of(operator)}.py" for folder in FOLDERS]
    (file,) = [file for file in files if file.is_file()]
    assert_names_the_paper(file, row)
    assert not options or set(options) <= set(declaration(operator).dims)


@by_row(OF_METHODS)
def test_the_file_names_the_paper(row: Row) -> None:
    assert_names_the_paper(ROOT / row.name.strip("`"), row)


def assert_names_the_paper(file: Path, row: Row) -> None:
    text = words_of(file.read_text(encoding="utf-8").split('"""')[1])
    assert all(word in text for word in row.words_of_paper)
    assert row.departures


@by_row(OF_OPERATORS + OF_METHODS)
def test_what_checks_it_exists(row: Row) -> None:
    file, _, name = row.test.strip("`").partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_a_basic_block_is_two_full_convolutions() -> None:
    found = signature_cost(signature("basic", Options({}), Shape.square(8, 8, 16, 16)))
    assert found.macs == found.dense == 2 * 64 * 9 * 16**2
