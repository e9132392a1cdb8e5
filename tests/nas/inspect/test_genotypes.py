"""`nas space import` and `nas space export` of cells: what a search of one cell is told."""

import json
import tomllib
from pathlib import Path

import pytest

from nas.cli.codes import OK, WRONG_USE
from nas.inspect.genotypes import configuration
from nas.problem.fix import fixed
from nas.run.config_file import read_config
from search_spaces import UserError, load_space
from tests.commands import exit_code as nas

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def test_a_cell_of_nas_bench_201_is_all_that_is_left_of_its_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cell.toml"
    assert nas("space", "import", CELL, "--format", "nasbench201", "--out", file) == OK
    settings = read_config(file)
    assert capsys.readouterr().out == file.read_text()
    space = load_space(str(settings["space"]), resolution=32, channels=1, num_classes=10)
    left = fixed(space, settings["fix"])
    assert left.size == 1
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"arch": dict(left.candidate([0] * len(left.choices)).arch)}))
    assert nas("space", "export", card, "--format", "nasbench201") == OK
    assert capsys.readouterr().out.strip() == CELL


def test_a_cell_that_was_found_stands_in_larger_networks(tmp_path: Path) -> None:
    space = load_space("cells", resolution=28, channels=1, num_classes=10)
    member = space.candidate([0] * len(space.choices))
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"key": member.key, "arch": dict(member.arch)}))
    text = configuration("cells", str(card), ["depth=4", "width=16,32"])
    settings = tomllib.loads(text)
    larger = fixed(load_space("cells", resolution=32, channels=3, num_classes=100), settings["fix"])
    assert larger.size == 2
    found = larger.candidate([0] * len(larger.choices)).arch
    assert found["depth"] == 4
    cell = {n: o for n, o in member.arch.items() if n not in ("width", "depth")}
    assert {name: found[name] for name in cell} == cell


def test_what_a_space_does_not_offer_is_refused(tmp_path: Path) -> None:
    genotype = tmp_path / "genotype.json"
    edges = [["sep_conv_7x7", 0], ["skip_connect", 1]]
    genotype.write_text(json.dumps({"normal": edges, "reduce": edges}))
    with pytest.raises(UserError, match="does not offer 'sepconv-7'"):
        configuration("darts", str(genotype))
    with pytest.raises(UserError, match="no choice of space 'nasbench201' is called 'dept'"):
        configuration("nasbench201", CELL, ["dept=4"])
    assert "precision=int8w" in configuration("nasbench201", CELL, ["stage*.precision=int8w"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"arch": {"width": []}}', "has no options by names of choices"),
        ('{"stage1.width": 8}', "is the network of no cells"),
    ],
)
def test_a_file_without_a_cell_is_refused(
    content: str | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "card.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=message):
        configuration("cells", str(file))


def test_what_is_fixed_belongs_to_a_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nas("space", "import", tmp_path / "a.json", "--fix", "depth=1") == WRONG_USE
    assert "--fix is of the networks of a cell" in capsys.readouterr().err
