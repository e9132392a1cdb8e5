"""`nas stitch`: from files of models to a file of a family, which is compressed like a model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.cli import app as cli
from nas.cli import codes
from nas.prepare.brought import _brought
from nas.prepare.inputs import prepare
from nas.run.config import Config
from nas.run.directory import read_front
from nas.search_flow import search
from nas.stitch import stitch
from nas.system.reporter import Silent
from search_spaces import UserError
from search_spaces.networks.stitched import PATH
from tests.compress.bring.exported import export
from tests.conftest import TOY


def network(width: int) -> nn.Module:
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
    body = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    return nn.Sequential(stem, body, head).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    for width in (8, 16):
        export(network(width), path / f"{width}.onnx", side=16, channels=1)
    return path


@pytest.fixture(scope="module")
def family(folder: Path) -> Path:
    found = stitch(
        models(folder), config(folder / "8.onnx"), folder / "family.safetensors", Silent()
    )
    assert found["paths"] == ["a2", "a1", "a1.0.0-a2.1.0"]
    return Path(found["file"])


@pytest.fixture(autouse=True)
def as_a_new_process() -> Iterator[None]:
    """Files of models are read anew."""
    yield
    _brought.cache_clear()


def models(folder: Path) -> list[str]:
    return [str(folder / f"{width}.onnx") for width in (16, 8)]


def config(model: Path) -> Config:
    return replace(
        TOY,
        space="hybrid",
        model=str(model),
        resolution=0,
        sparsity=(0.0, 0.5),
        budget=("80%MACs",),
    )


def test_a_family_is_a_model_to_nas_compress(family: Path) -> None:
    _, space, limits = prepare(config(family))
    assert space.is_brought
    assert space.choice(PATH).options[:2] == ("a2", "a1")
    assert space.costs is not None
    assert limits[0].max == pytest.approx(0.8 * space.costs.maximum("macs")[0], rel=0.01)


@pytest.mark.long
def test_a_family_is_trained_searched_and_written_as_files(family: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    search(config(family), run, Silent())
    front = read_front(run)
    assert front["members"]
    assert (run / "front" / front["members"][0] / "model.onnx").is_file()


@pytest.fixture(scope="module")
def both_ways(folder: Path) -> Path:
    out, found = folder / "both.safetensors", config(folder / "8.onnx")
    paths = stitch(models(folder), found, out, Silent(), is_two_way=True, update_rank=2)["paths"]
    assert paths == ["a2", "a1", "a1.0.0-a2.1.0", "a2.0.0-a1.1.0"]
    return out


def test_a_family_of_both_ways_is_a_model_to_nas_compress(both_ways: Path) -> None:
    _, space, _ = prepare(config(both_ways))
    assert len(space.choice(PATH).options) == 4
    assert space.costs is not None


@pytest.mark.long
def test_a_family_of_both_ways_is_trained_by_bins_and_written(
    both_ways: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    search(replace(config(both_ways), method="cost-bins"), run, Silent())
    members = read_front(run)["members"]
    assert members
    assert all((run / "front" / key / "model.onnx").is_file() for key in members)


@pytest.mark.parametrize(
    ("out", "message"),
    [("family.onnx", "does not end in .safetensors"), ("there.safetensors", "is there already")],
)
def test_a_file_that_is_there_or_of_another_kind_is_not_written(
    folder: Path, tmp_path: Path, out: str, message: str
) -> None:
    (tmp_path / "there.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=message):
        stitch(models(folder), config(folder / "8.onnx"), tmp_path / out, Silent())


@pytest.mark.parametrize(
    ("times", "message"), [(1, "a family has at least two models"), (2, "named more than once")]
)
def test_the_command_says_what_is_wrong_with_the_models(
    folder: Path, tmp_path: Path, times: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "stitch",
        *times * [str(folder / "8.onnx")],
        "--data",
        "digits",
        "--resolution",
        "16",
    ]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--out", str(tmp_path / "family.safetensors")])
    assert ended.value.code == codes.WRONG_USE
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
