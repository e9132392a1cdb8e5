"""A space in a user's own file: what it can do, and what is said when it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import UserError, load_space

GOOD = """
from search_spaces import AbstractSpace, SearchSpace, Stage, Staged, pyramid

class Mine(AbstractSpace):
    def build(self, *, resolution, channels, num_classes):
        stages = tuple(
            Stage(
                widths=(8 * 2**i,),
                depths=(1, 2),
                operators=("mbconv", "inception"),
                options=(("kernel_size", (3, 5)), ("expand_ratio", (2, 4))),
            )
            for i in range(len(pyramid(resolution).sizes))
        )
        network = Staged(
            resolution=resolution, channels=channels, num_classes=num_classes, stages=stages
        )
        return SearchSpace.of_network("mine", network)
"""


def load(file: Path) -> object:
    return load_space(str(file), resolution=32, channels=1, num_classes=10)


def test_a_space_of_ones_own_is_built_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "my_space.py"
    file.write_text(GOOD)
    space = load_space(str(file), resolution=32, channels=3, num_classes=7)
    assert space.name == "mine"
    assert space.network is not None
    assert (space.network.channels, space.network.num_classes) == (3, 7)
    assert space.costs is not None
    assert space.costs.minimum("macs")[0] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has 0 subclasses of AbstractSpace \\(none\\)"),
        (GOOD + GOOD.replace("Mine", "Other"), r"it has 2 subclasses .*\(Mine, Other\)"),
        ("import nothing_of_the_kind", "failed with ModuleNotFoundError.*nothing_of_the_kind"),
        ("def f(:", "failed with SyntaxError"),
        (GOOD.replace("build(self, *", "build(self, x, *"), "failed with TypeError"),
        (GOOD.replace("return SearchSpace", "return str"), "failed with AttributeError"),
        (GOOD.replace("return ", "return 1 or "), r"build\(\) returned int"),
        (GOOD.replace('"inception"', '"incepton"'), "stage1 offers 'incepton'.*'inception'"),
        (GOOD.replace("def build", "def built"), "failed with TypeError.*abstract"),
        (GOOD.replace("(3, 5)", "(3, 3)"), "Options must be distinct"),
        ("raise SystemExit(3)", "failed with SystemExit: 3"),
        ("def f(): f()\nf()", "failed with RecursionError"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "my_space.py"
    file.write_text(text)
    with pytest.raises(UserError, match=f"my_space.py.*{message}"):
        load(file)


def test_where_ctrl_c_stops_a_file_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "my_space.py"
    file.write_text("\n\nraise KeyboardInterrupt\n")  # as Ctrl-C does, unless it is ignored
    with pytest.raises(KeyboardInterrupt):
        load(file)
    assert f"space file '{file}' was interrupted (line 3)" in caplog.text


def test_a_missing_file_is_named_with_the_spaces_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not_here.py' is not there.*hybrid"):
        load(tmp_path / "not_here.py")


@given(st.binary(max_size=40) | st.just(b"# -*- coding: latin-1 -*-\n# \xe9"))
def test_no_bytes_give_anything_but_a_clear_message(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("space") / "space.py"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"space.py"):
        load(file)


@given(st.text(alphabet="abc(=:)\n #'0", max_size=40))
def test_no_text_gives_anything_but_a_clear_message(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("space") / "space.py"
    file.write_text(text)
    with pytest.raises(UserError, match=r"space.py"):
        load(file)
