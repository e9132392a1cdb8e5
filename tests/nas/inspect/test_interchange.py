"""`nas space import`, `nas space export`, and a table whose choices an imported space says."""

import itertools
import json
from pathlib import Path

import pytest

from nas.cli.codes import OK, WRONG_USE
from nas.inspect.interchange import read_space, write_space
from search_spaces import Choice, SearchSpace, UserError
from tests.commands import exit_code as nas

NNI = {
    "op": {
        "_type": "choice",
        "_value": [
            {"_name": "skip"},
            {"_name": "conv", "kernel": {"_type": "choice", "_value": [5, 3]}},
        ],
    },
    "width": {"_type": "choice", "_value": [32, 16, 64]},
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "search_space.json"
    path.write_text(json.dumps(NNI))
    return path


def test_an_imported_space_says_the_choices_of_a_table(
    tmp_path: Path, theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, table = tmp_path / "space.json", tmp_path / "results.csv"
    assert nas("space", "import", theirs, "--format", "nni", "--out", ours) == OK
    assert capsys.readouterr().out == (
        "space 'search_space': 3 choices, 9 candidates\n"
        "  op: skip, conv\n"
        "  op.conv.kernel: 5, 3  (where op is conv)\n"
        "  width: 32, 16, 64\n"
    )
    rows = ["op,op.conv.kernel,width,reward,ms"]
    for (op, kernel), width in itertools.product(
        [("skip", ""), ("conv", 3), ("conv", 5)], [16, 32, 64]
    ):
        rows.append(f"{op},{kernel},{width},{width + 10 * (op == 'conv')},{width}")
    table.write_text("\n".join(rows) + "\n")
    bench = [
        "bench",
        "controllers",
        "--table",
        table,
        "--maximize",
        "reward",
        "--minimize",
        "ms",
        "--json",
    ]
    few = ["--evaluations", "9", "--seeds", "1", "--controllers", "random"]
    assert nas(*bench, *few, "--space", ours) == OK
    found = json.loads(capsys.readouterr().out)["controllers"]["random"]
    assert found["hypervolume"]["9"]["mean"] == found["front_found"] == 1.0
    assert nas(*bench, *few) == WRONG_USE
    assert "neither is given. Give one: --choices" in capsys.readouterr().err
    assert nas(*bench, *few, "--space", ours, "--choices", "op") == WRONG_USE
    assert "both are given" in capsys.readouterr().err


def test_an_exported_space_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "toy.json"
    assert nas("space", "export", "toy", "--precision", "fp32", "--out", file) == OK
    assert nas("space", "export", "toy", "--precision", "fp32") == OK
    printed = capsys.readouterr().out
    assert file.read_text() == printed
    assert nas("space", "import", file, "--json") == OK
    space = SearchSpace.from_json(json.loads(capsys.readouterr().out))
    assert {c.name: list(c.options) for c in space.choices} == {
        name: entry["_value"] for name, entry in json.loads(printed).items()
    }


def test_an_unknown_format_is_refused(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nas("space", "import", theirs, "--format", "nnni") == WRONG_USE
    message = (
        "is neither one of search spaces nor one of cells. Known: cells, darts, nasbench201, nni"
    )
    assert message in capsys.readouterr().err


def test_a_file_of_ours_is_read_as_it_was_written_and_damage_is_said(tmp_path: Path) -> None:
    space = SearchSpace("s", (Choice("a", (1, 2)), Choice("b", ("x", "y"), (("a", (2,)),))))
    file = tmp_path / "space.json"
    write_space(space, file)
    assert read_space(file) == space
    file.write_text(file.read_text().replace('"x"', '"z"'))
    with pytest.raises(UserError, match="is damaged"):
        read_space(file)
    with pytest.raises(UserError, match="is not there. Give a file that `nas space import"):
        read_space(tmp_path / "absent.json")
