"""Copies of the user's files: which are kept and executed, and what `--supernet` records."""

import dataclasses
import shutil
from pathlib import Path

import pytest

import nas
from nas.prepare.reuse import with_inherited
from nas.run.config import Config, make_config
from nas.run.config_file import read_config
from nas.run.own_files import (
    keep_own_files,
    kept_plugins,
    load_named,
    with_kept_files,
    with_space_at_hand,
)
from nas.sweep.sweep import opened
from search_spaces import UserError, load_plugins, loaded_plugins

TEXT = """
from search_spaces import SPACES, AbstractSpace
from search_spaces.toy import Toy

@SPACES.register
class Mine(AbstractSpace):
    '''Like toy.'''
    def build(self, **sizes):
        return Toy().build(**sizes)
"""
pytestmark = pytest.mark.usefixtures("plugins")


def written(file: Path, text: str = TEXT) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def begun(run: Path, config: Config) -> Path:
    """A run that keeps the files of its configuration."""
    written(run / "config.toml", config.to_toml())
    if config.space.endswith(".py"):
        shutil.copy(config.space, run / "space.py")
    for file in map(Path, config.plugins):
        written(run / "plugins" / file.name.replace("-", "_"), file.read_text())
    return run


@pytest.fixture
def own(tmp_path: Path) -> Config:
    """A configuration with files of the user's."""
    files = [written(tmp_path / f"own/{name}.py") for name in ("space_of_mine", "second", "first")]
    space, *plugins = map(str, files)
    return Config(space=space, plugins=tuple(plugins))


@pytest.fixture
def donor(own: Config, tmp_path: Path) -> Path:
    """A run that was given those, as far as it decides what a search inherits."""
    return begun(tmp_path / "donor", own)


def names() -> list[str]:
    return [plugin.name for plugin in loaded_plugins()]


def test_copies_are_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    config = Config(plugins=("/gone/zeta.py", "/gone/al-pha.py"))
    for name in ("other", "al_pha", "zeta"):
        written(tmp_path / f"plugins/{name}.py")
    assert kept_plugins(tmp_path) == [], "a folder without config.toml is no run"
    written(tmp_path / "config.toml", config.to_toml())
    assert [file.stem for file in kept_plugins(tmp_path)] == ["zeta", "al_pha", "other"]


@pytest.mark.parametrize("spelling", ["my-big-pool", "my_big_pool", "my_big-pool"])
def test_a_copy_is_named_by_either_spelling(spelling: str, tmp_path: Path) -> None:
    config = Config(plugins=(str(written(tmp_path / "own/my-big-pool.py")),))
    run = begun(tmp_path / "run", config)
    load_named(run, '{"operators": ["pool", "my-big"]}')
    assert names() == []
    load_named(run, f'{{"operators": ["{spelling}"]}}')
    assert names() == ["my_big_pool"]


def test_a_run_keeps_the_plug_ins_of_its_configuration_alone(tmp_path: Path) -> None:
    files = [str(written(tmp_path / f"{name}.py")) for name in ("one", "two")]
    load_plugins(files)
    config = Config(plugins=(files[0],))
    keep_own_files(tmp_path / "run", config)
    assert [file.name for file in (tmp_path / "run/plugins").iterdir()] == ["one.py"]
    written(tmp_path / "run/plugins/one.py", "# other")
    with pytest.raises(UserError, match=r"one.py' is not the one that run .*Begin a new run"):
        keep_own_files(tmp_path / "run", config)


def test_a_sweep_keeps_and_compares_its_plug_ins(tmp_path: Path) -> None:
    file, out = written(tmp_path / "one.py"), tmp_path / "out"
    sweep = written(tmp_path / "sweep.toml", f"plugins = ['{file}']\nspace = 'one'\n")
    assert opened(sweep, out) == opened(sweep, out)
    assert (out / "plugins/one.py").read_text() == TEXT
    written(out / "plugins/one.py", "# other")
    with pytest.raises(UserError, match=r"one.py' is not the one that sweep .*Begin a new sweep"):
        opened(sweep, out)


def test_a_search_with_a_supernet_records_where_the_files_were(own: Config, donor: Path) -> None:
    found = Config(**with_inherited({"supernet": str(donor)}))
    assert names() == [], "reading a run executes nothing"
    assert (found.space, set(found.plugins)) == (own.space, set(own.plugins))
    written(Path(own.plugins[0]), "# changed")
    Path(own.plugins[1]).unlink()
    Path(own.space).unlink()
    later = Config(**with_inherited({"supernet": str(donor)}))
    assert later.plugins == tuple(map(str, kept_plugins(donor)))
    assert later.default_out() == found.default_out()
    assert with_space_at_hand(donor / "none", later).space == str(donor / "space.py")
    written(Path(own.space), "# changed")
    changed = with_inherited({"supernet": str(donor)})
    assert changed["space"] == str(donor / "space.py")


def test_a_plug_in_that_is_given_stands_for_the_supernets_of_its_name(
    own: Config, donor: Path, tmp_path: Path
) -> None:
    given = str(written(tmp_path / "given/first.py", TEXT + "\nCHANGED = True\n"))
    config = make_config(with_inherited({"supernet": str(donor), "plugins": (given,)}))
    assert config.plugins == (own.plugins[0], given)
    assert {plugin.place for plugin in loaded_plugins()} == set(config.plugins)


def test_a_search_that_has_begun_has_its_own_copies_when_all_else_is_gone(
    own: Config, donor: Path, tmp_path: Path
) -> None:
    run = begun(tmp_path / "run", dataclasses.replace(own, supernet=str(donor)))
    shutil.rmtree(donor)
    shutil.rmtree(tmp_path / "own")
    for settings in (read_config(run / "config.toml"), {"supernet": str(donor)}):
        config = make_config(with_inherited(settings, run))
        assert config.plugins == tuple(map(str, kept_plugins(run)))
        assert config.space == own.space
        assert with_space_at_hand(run, config).space == str(run / "space.py")


@pytest.mark.parametrize("change", [{"space": "/gone/misspelt.py"}, {"supernet": ""}])
def test_a_copy_stands_for_the_file_that_it_is_of_alone(
    change: dict[str, str], own: Config, donor: Path
) -> None:
    Path(own.space).unlink()
    config = dataclasses.replace(own, **{"supernet": str(donor), **change})  # type: ignore[arg-type]
    assert with_space_at_hand(donor / "none", config) == config


def test_loading_a_network_executes_what_it_names_in_a_run_alone(
    finished_run: Path, tmp_path: Path
) -> None:
    member = next(finished_run.glob("front/*/model.safetensors"))
    network = tmp_path / "models/resnet/model.safetensors"
    network.parent.mkdir(parents=True)
    shutil.copy(member, network)
    marker = tmp_path / "executed"
    for name in ("stem", "foo"):
        written(tmp_path / f"plugins/{name}.py", f"open({str(marker)!r}, 'w').close()")
    nas.load(network)
    written(tmp_path / "config.toml", Config().to_toml())
    (tmp_path / "plugins/stem.py").unlink()
    nas.load(network)
    assert not marker.exists()


def test_arrays_that_a_run_keeps_are_found_where_it_lies_now(tmp_path: Path) -> None:
    config = Config(data=str(tmp_path / "before/data.npz"))
    run = begun(tmp_path / "moved", config)
    assert with_kept_files(run, config).data == config.data
    (run / "data.npz").touch()
    assert with_kept_files(run, config).data == str(run / "data.npz")
    assert with_inherited({"supernet": str(run)})["data"] == str(run / "data.npz")
