"""Families, letters and colours of operators."""

import pytest

from reports import operators
from search_spaces.operators._base import OPERATORS


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (["mbconv", "convnext", "window"], "convolution"),
        (["window", "sra", "raft"], "attention"),
        (["raft"], "mixer"),
        (["raft", "window"], "mixed"),
        (["moat"], "mixed"),
        (["moat", "window"], "attention"),
        (["no-such-operator"], "mixed"),
        (["../window"], "mixed"),
        ([], "mixed"),
    ],
)
def test_a_family_needs_more_than_half_of_the_blocks(names: list[str], family: str) -> None:
    assert operators.family(names) == family


def test_every_operator_has_a_letter_of_its_own() -> None:
    names = ["convnext", "inception", "mbconv", "moat", "raft", "sra", "window", "mm", "<<"]
    letters = operators.letters(names)
    assert [letters[name] for name in names[:7]] == list("CIMORSW")
    assert len(set(letters.values())) == len(names)


@pytest.mark.parametrize("name", OPERATORS.names())
def test_every_operator_declares_how_it_mixes(name: str) -> None:
    found = operators.families(name)
    assert found or name in ("identity", "gain")
    assert set(found) <= set(operators.FAMILIES)
    assert operators.meaning(name).endswith(".")


def test_what_is_not_declared_has_no_meaning() -> None:
    assert operators.meaning("no-such-operator") == ""
