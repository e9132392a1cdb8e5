"""Plug-ins are files."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from search_spaces import Registry, UserError
from search_spaces._registry import REGISTRIES

PLUGIN = """
from plug_ins import REGISTRY

@REGISTRY.register
class {name}:
    pass
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A package with the plug-ins "one" and "two-words", a broken one, and plumbing."""
    folder = tmp_path / "plug_ins"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from search_spaces import Registry\nREGISTRY = Registry('plug_ins', 'gadget', object)\n"
    )
    (folder / "one.py").write_text(PLUGIN.format(name="One"))
    (folder / "two_words.py").write_text(PLUGIN.format(name="TwoWords"))
    (folder / "broken.py").write_text("import no_such_dependency\n")
    (folder / "_plumbing.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "plug_ins"]:
        monkeypatch.delitem(sys.modules, name)
    from plug_ins import REGISTRY

    yield REGISTRY
    REGISTRIES.remove(REGISTRY)


def test_names_are_files_without_underscore_in_front(registry: Registry) -> None:
    assert registry.names() == ["broken", "one", "two-words"]


def test_only_the_file_asked_for_is_imported(registry: Registry) -> None:
    assert registry.get("one").__name__ == "One"
    assert "plug_ins.two_words" not in sys.modules


@pytest.mark.parametrize("name", ["two-words", "two_words"])
def test_dashes_and_underscores_are_the_same(registry: Registry, name: str) -> None:
    assert registry.get(name).__name__ == "TwoWords"


@pytest.mark.parametrize("name", ["on", "_plumbing", "../one", "", "one.two"])
def test_an_unknown_name_is_told_what_there_is(registry: Registry, name: str) -> None:
    with pytest.raises(UserError, match=r"unknown gadget '.*'. Known: broken, one, two-words\."):
        registry.get(name)


def test_a_misspelt_name_is_told_the_closest_and_how_to_add_one(registry: Registry) -> None:
    with pytest.raises(UserError, match=r"Did you mean 'one'\? To add one, write plug_ins/oen.py"):
        registry.get("oen")


def test_a_plug_in_that_cannot_be_imported_says_so_itself(registry: Registry) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        registry.get("broken")
