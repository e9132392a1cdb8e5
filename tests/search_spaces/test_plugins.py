"""Plug-ins from outside: files that are named, and modules of installed packages."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces import (
    SPACES,
    UserError,
    load_plugin_texts,
    load_plugins,
    load_space,
    loaded_plugins,
)
from search_spaces import _registry as registry
from search_spaces.operators import OPERATORS

GOOD = """
from search_spaces import SPACES, AbstractSpace
from search_spaces.toy import Toy

@SPACES.register
class Mine(AbstractSpace):
    '''Like toy.'''
    def build(self, **sizes):
        return Toy().build(**sizes)
"""
MISPLACED = GOOD.replace("@SPACES", "from search_spaces.operators import OPERATORS\n@OPERATORS")
pytestmark = pytest.mark.usefixtures("plugins")


def written(folder: Path, text: str, name: str = "my_plugin.py") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_what_a_file_registers_has_the_files_name(tmp_path: Path) -> None:
    load_plugins([written(tmp_path, GOOD)])
    assert "my-plugin" in SPACES.names()
    assert SPACES.get("my_plugin") is SPACES.get("my-plugin")
    assert load_space("my-plugin", resolution=32, channels=1, num_classes=3).size > 1


def test_a_file_is_run_once_and_another_of_its_name_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD + "\nprint('running')")
    load_plugins([file, file])
    before = SPACES.get("my-plugin")
    load_plugin_texts([["my_plugin", file.read_text(), "elsewhere"]])
    assert SPACES.get("my-plugin") is before
    file.write_text(GOOD)
    with pytest.raises(UserError, match=r"my_plugin.py' differs from .*Restore the file, rename"):
        load_plugins([file])


def test_text_is_enough_for_another_process(tmp_path: Path) -> None:
    load_plugins([written(tmp_path, GOOD)])
    (plugin,) = loaded_plugins()
    assert (plugin.name, plugin.text) == ("my_plugin", GOOD)
    assert sys.modules[SPACES.get("my-plugin").__module__].__file__ == str(plugin.place)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.py", "", "it registers nothing. In it, decorate a class with"),
        ("a.py", "def f(:", r"failed with SyntaxError.*Mend the file; `nas plugin check`"),
        ("a.py", "x = 1\n1 / 0", r"failed with ZeroDivisionError: division by zero \(line 2\)"),
        ("a.py", "raise SystemExit(3)", "failed with SystemExit: 3"),
        ("a.py", "import nothing_of_the_kind", "failed with ModuleNotFoundError"),
        ("hybrid.py", GOOD, "there is a space 'hybrid' already, in search_spaces.hybrid"),
        ("a.py", GOOD + GOOD.replace("Mine", "Two"), "it registers two classes as space 'a'"),
        ("a.py", MISPLACED, "class 'Mine' .* operator 'a' and is of the kind 'space'. .* from Abs"),
        ("a.py", GOOD.replace("build", "make"), "class 'Mine' .* space 'a' and lacks build"),
        ("a.py", GOOD.replace("AbstractSpace):", "dict):"), "and is none. .* from AbstractSpace"),
        ("_a.py", GOOD, "'_a' is no name"),
        ("1a.py", GOOD, "'1a' is no name"),
        ("a.txt", GOOD, "does not end in .py. Name a Python file"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    before = SPACES.names()
    with pytest.raises(UserError, match=f"plug-in '.*{name}'.*{message}"):
        load_plugins([written(tmp_path, text, name)])
    assert SPACES.names() == before
    assert loaded_plugins() == ()


def test_what_a_file_registers_before_it_fails_is_undone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="failed with ZeroDivisionError"):
        load_plugins([written(tmp_path, GOOD + "\n1 / 0")])
    assert "my-plugin" not in SPACES
    load_plugins([written(tmp_path, GOOD)])
    assert "my-plugin" in SPACES


def test_a_file_that_is_not_there_is_named_with_where_a_copy_may_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent.py' is no file.*a copy in its folder plugins"):
        load_plugins([tmp_path / "absent.py"])


def test_an_unknown_name_is_told_the_plug_ins_that_are_loaded(tmp_path: Path) -> None:
    load_plugins([written(tmp_path, GOOD)])
    with pytest.raises(UserError, match=r"Plug-ins loaded: my-plugin\. .*--plugin FILE\.py"):
        OPERATORS.get("my-plugin")
    with pytest.raises(UserError, match=r"Known: .*my-plugin.*Did you mean 'my-plugin'\?"):
        SPACES.get("my-plugi")


def declare(folder: Path, package: str, entry_points: str) -> None:
    """What an installer writes."""
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir(exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[pareto_nas.plugins]\n{entry_points}")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with the plug-ins `extra` and `broken`."""
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "extra.py").write_text(GOOD)
    (folder / "broken.py").write_text(GOOD + "\n1 / 0")
    declare(tmp_path, "acme", "extra = acme.extra\nany-name = acme.broken\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry.installed_modules.cache_clear()
    yield folder
    registry.installed_modules.cache_clear()
    for name in ("acme", "acme.extra", "acme.broken"):
        sys.modules.pop(name, None)
        registry.forget(name)


def test_an_installed_plug_in_is_imported_when_it_is_asked_for(package: Path) -> None:
    assert SPACES.get("toy")
    assert "acme" not in sys.modules
    assert SPACES.get("extra").__module__ == "acme.extra"
    assert "acme.broken" not in sys.modules


def test_a_broken_installed_plug_in_is_named_when_it_is_asked_for(package: Path) -> None:
    for _ in range(2):
        with pytest.raises(
            UserError,
            match=r"installed plug-in 'broken' of package 'acme' failed with ZeroDivisionError",
        ):
            SPACES.get("broken")
    assert "broken" not in SPACES.names()


def test_an_unknown_name_is_told_all_installed_plug_ins(package: Path) -> None:
    with pytest.raises(UserError, match=r"Known: .*extra.*Installed plug-ins that fail: broken\."):
        SPACES.get("extr")


def test_an_installed_plug_in_never_has_the_name_of_one_of_ours(package: Path) -> None:
    (package / "mbconv.py").write_text(GOOD)
    declare(package.parent, "acme", "mbconv = acme.mbconv\n")
    assert "mbconv" not in SPACES, "it is an operator"
    assert registry.import_all_installed()["mbconv"].startswith("it has the name of one of ours")
    assert "acme" not in sys.modules


def test_a_name_that_two_packages_declare_is_refused_when_it_is_asked_for(package: Path) -> None:
    declare(package.parent, "second", "extra = second.extra\n")
    assert SPACES.get("toy")
    with pytest.raises(
        UserError,
        match="'extra' is acme.extra of package 'acme' and second.extra of package 'second'",
    ):
        SPACES.get("extra")
    assert set(registry.import_all_installed()) == {"broken", "extra"}
