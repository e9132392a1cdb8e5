"""`nas compress` of ONNX files and exported programs, from the command to a front."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.prepare.brought import _brought, keep_brought
from nas.prepare.inputs import prepare
from nas.run.config import Config
from nas.run.directory import read_front
from nas.run.own_files import with_kept_files
from search_spaces import UserError
from tests.compress.bring.exported import export
from tests.conftest import TOY

ROOT = Path(__file__).parents[2]


def network() -> nn.Module:
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
    body = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(stem, body, nn.Flatten(), nn.Linear(16, 10)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files")
    export(network(), path / "small.onnx", side=16, channels=1)
    program = torch.export.export(network(), (torch.zeros(2, 1, 16, 16),))
    torch.export.save(program, path / "small.pt2")
    return path


def config(folder: Path, suffix: str) -> Config:
    return replace(
        TOY,
        space="hybrid",
        model=str(folder / f"small{suffix}"),
        resolution=0,
        sparsity=(0.0, 0.5),
        budget=("80%MACs",),
    )


@pytest.fixture(autouse=True)
def as_a_new_process() -> Iterator[None]:
    """Files of models are read anew."""
    yield
    _brought.cache_clear()


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_is_compressed(folder: Path, suffix: str, tmp_path: Path) -> None:
    """From the shell to a front of verified files."""
    file, out = str(folder / f"small{suffix}"), str(tmp_path / "run")
    arguments = ["compress", file, "--data", "digits", "--budget", "80%MACs", "--time", "20s"]
    arguments += ["--sparsity", "0,0.5", "--threads", "1", "--out", out]
    program = f"from nas.cli.app import main; main({arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    members = read_front(tmp_path / "run")["members"]
    assert (tmp_path / "run" / "front" / members[0] / "model.onnx").is_file()


def test_a_run_keeps_what_was_brought(folder: Path, tmp_path: Path) -> None:
    asked = config(folder, ".onnx")
    assert asked.default_out().name.startswith("small-digits-")
    data, space, _ = prepare(asked)
    keep_brought(tmp_path, asked, data)
    again = with_kept_files(tmp_path, asked)
    assert again.model == str(tmp_path / "brought.safetensors")
    kept_data, kept_space, _ = prepare(again)
    assert kept_data.resolution == data.resolution == 16
    assert kept_space.choices == space.choices


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_data_is_read_at_the_size_that_a_file_says(folder: Path, suffix: str) -> None:
    data, space, _ = prepare(config(folder, suffix))
    assert data.resolution == 16
    assert space.is_brought


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_that_changed_is_refused(folder: Path, suffix: str, tmp_path: Path) -> None:
    asked = config(folder, suffix)
    data, _, _ = prepare(asked)
    keep_brought(tmp_path, asked, data)
    keep_brought(tmp_path, asked, data)
    other = tmp_path / f"small{suffix}"
    changed = network()
    nn.init.zeros_(changed[3].bias)
    if suffix == ".onnx":
        export(changed, other, side=16, channels=1)
    else:
        torch.export.save(torch.export.export(changed, (torch.zeros(2, 1, 16, 16),)), other)
    with pytest.raises(UserError, match="is not the one that run .* began with"):
        keep_brought(tmp_path, replace(asked, model=str(other)), data)


def test_a_file_has_its_weights_and_its_size(folder: Path) -> None:
    asked = config(folder, ".onnx")
    with pytest.raises(UserError, match="has its weights, and --weights is 'a.safetensors'"):
        prepare(replace(asked, weights="a.safetensors"))
    with pytest.raises(UserError, match="reads images of 16 px, and they have 32. Leave out"):
        prepare(replace(asked, resolution=32))
    with pytest.raises(UserError, match="there is no such file"):
        prepare(replace(asked, model="none.onnx"))
