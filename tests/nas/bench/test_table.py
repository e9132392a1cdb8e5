"""Tables of evaluated networks: what their columns mean, and what is wrong with them."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from nas.bench.table import MISSING, Table, TableCosts, read_table, read_table_of
from search_spaces import Choice, SearchSpace, UserError


def written(path: Path, header: str, rows: list[str]) -> Path:
    """A CSV file with a byte-order mark, as spreadsheets write it."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")
    return path


@pytest.fixture
def conv_table(tmp_path: Path) -> Table:
    """Depth 1 or 2; the second layer is empty where it is not there."""
    rows = []
    for depth, first, second in itertools.product((1, 2), ("conv", "skip"), (3, 5, "")):
        if (second == "") == (depth == 1):
            quality = len(rows) + 0.5
            rows.append(f"{depth},{first},{second},{quality},{100 * depth}")
    return read_table(
        written(tmp_path / "conv.csv", "depth,op1,k2,acc,macs", rows), ["depth", "op*", "k*"]
    )


def test_empty_cells_make_a_choice_conditional(conv_table: Table) -> None:
    choices = {choice.name: choice for choice in conv_table.space.choices}
    assert choices["depth"].options == (1, 2)
    assert choices["op1"].options == ("conv", "skip")
    assert choices["k2"].options == (3, 5)
    assert choices["k2"].active_if == (("depth", (2,)),)
    assert conv_table.space.size == len(conv_table) == 6
    assert conv_table.is_complete
    assert TableCosts(conv_table).limits == ()


def test_every_row_is_found_by_its_candidate(conv_table: Table) -> None:
    for row, encoding in enumerate(conv_table.rows_NC.tolist()):
        candidate = conv_table.space.candidate(encoding)
        assert conv_table.positions(np.array([encoding])).tolist() == [row]
        assert conv_table.metrics(candidate, ["acc"]) == {"acc": conv_table.values["acc"][row]}


def test_an_inactive_option_does_not_matter(conv_table: Table) -> None:
    assert len(set(conv_table.positions(np.array([[0, 0, 0], [0, 0, 1]])).tolist())) == 1


def test_choices_that_are_empty_together_do_not_explain_each_other(tmp_path: Path) -> None:
    rows = [",,1,0"] + [f"{a},{b},2,{a + b}" for a in (3, 5) for b in (8, 16)]
    table = read_table(written(tmp_path / "t.csv", "a,b,depth,m", rows), ["a", "b", "depth"])
    assert table.space.choice("a").active_if == (("depth", (2,)),)
    assert table.space.choice("b").active_if == (("depth", (2,)),)
    assert table.is_complete


def test_what_only_two_choices_together_explain_is_found(tmp_path: Path) -> None:
    rows = []
    for a, b, c in itertools.product((0, 1), ("x", "y"), ("p", "q", "")):
        if (c != "") == (a == 1 and b == "y"):
            rows.append(f"{a},{b},{c},1")
    table = read_table(written(tmp_path / "t.csv", "a,b,c,m", rows), ["a", "b", "c"])
    assert table.space.choice("c").active_if == (("a", (1,)), ("b", ("y",)))
    assert table.is_complete


def test_an_empty_cell_that_nothing_explains_is_an_option(tmp_path: Path) -> None:
    rows = ["1,3,1", "1,,2", "2,3,3", "2,,4"]
    table = read_table(written(tmp_path / "t.csv", "a,b,m", rows), ["a", "b"])
    assert table.space.choice("b").options == ("", "3")
    assert table.is_complete


def test_a_constant_that_stands_for_inactive_is_understood(tmp_path: Path) -> None:
    rows = []
    for depth, k2 in itertools.product((1, 2), (0, 3, 5)):
        if depth == 2 or k2 == 3:
            rows.append(f"{depth},{k2},{len(rows)}")
    table = read_table(written(tmp_path / "t.csv", "depth,k2,m", rows), ["depth", "k2"])
    assert table.space.choice("k2").active_if == (("depth", (2,)),)
    assert table.space.size == len(table) == 4
    assert table.is_complete


def test_networks_without_a_row_are_known_to_be_missing(tmp_path: Path) -> None:
    rows = ["0,0,5", "0,1,6", "1,2,7", "2,0,9"]
    table = read_table(written(tmp_path / "t.csv", "a,b,m", rows), ["a", "b"])
    costs = TableCosts(table, ("m",))
    assert not table.is_complete
    assert costs.metrics == ("m", MISSING)
    rows_NC = np.array([[0, 0], [2, 2]])
    assert costs.of(MISSING, rows_NC).tolist() == [0.0, 1.0]
    assert costs.of("m", rows_NC)[0] == 5.0
    assert math.isnan(costs.of("m", rows_NC)[1])


def test_an_empty_metric_is_no_number(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "t.csv", "a,m,word", ["0,1,x", "1,,y"]), ["a"])
    assert math.isnan(table.column("m")[1])
    with pytest.raises(UserError, match=r"no column of numbers 'word'.*Known: m"):
        table.column("word")


@pytest.mark.parametrize(
    ("content", "choices", "message"),
    [
        ("", ["a"], r"cannot be read: .*header line"),
        ("a,m\n", ["a"], r"has no rows"),
        ("a,m\n0,1\n", ["layer*"], r"has no column 'layer\*'"),
        ("a,m\n0,1\n0,2\n", ["a"], r"lines 2 and 3 are the same network"),
        ("a,b,m\n,0,1\n,1,2\n", ["a", "b"], r"choice 'a' is empty in every row"),
        ('a,m\n0,1\n"1,2\n', ["a"], r"cannot be read"),
        ("a,m\n0,1,2,3\n1,2\n1,2,3,4,5\n", ["a"], r"cannot be read"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    tmp_path: Path, content: str, choices: list[str], message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_table(path, choices)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.csv' does not exist"):
        read_table(tmp_path / "none.csv", ["a"])
    with pytest.raises(UserError, match=r"cannot be read"):
        read_table(tmp_path, ["a"])


GIVEN = SearchSpace(
    "given",
    (
        Choice("op", ("skip", "conv", "1")),
        Choice("kernel", (5, 3), (("op", ("conv",)),)),
        Choice("rate", (0.5, 1)),
    ),
)


def test_a_space_says_order_and_conditions_of_a_table(tmp_path: Path) -> None:
    rows = ["conv,3.0,1.0,7", "conv,5.0,0.50,8", "skip,,1,9", "1,what,0.5,10"]
    table = read_table_of(written(tmp_path / "t.csv", "op,kernel,rate,acc", rows), GIVEN)
    assert table.space is GIVEN
    assert table.rows_NC.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 1], [2, 0, 0]]
    assert table.values["acc"].tolist() == [7, 8, 9, 10]
    assert not table.is_complete


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("op,kernel,acc", "conv,3,1", r"no column 'rate', a choice of space 'given'. Known: .*Rename"),
        ("op,kernel,rate,acc", "conv,4,1,1", r"line 2: 'kernel' is '4', which .* It offers 5, 3\."),
        ("op,kernel,rate,acc", "conv,,1,1", "line 2: 'kernel' is '', which space 'given'"),
        ("op,kernel,rate,acc", "1.0,3,1,1", "line 2: 'op' is '1.0', which space 'given'"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_its_space_is_refused(
    tmp_path: Path, header: str, row: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_table_of(written(tmp_path / "t.csv", header, [row]), GIVEN)
