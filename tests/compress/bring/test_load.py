"""What users type as a model, and what they give as its weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from compress.bring._load import load_network, load_weights
from search_spaces import UserError

SOURCE = """
import torch
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(3))

def given(width):
    return nn.Conv2d(1, width, 3)

def optional(width=4, *more, **others):
    return nn.Conv2d(1, width, 3).train()

def broken():
    raise ValueError("no such width")

def nothing():
    return {"conv": 1}

number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my models.py"
    path.write_text(SOURCE)
    return path


def test_a_function_of_a_file_is_called(file: Path) -> None:
    network = load_network(f"{file}:optional")
    assert isinstance(network, nn.Conv2d)
    assert not network.training


def test_a_function_of_a_package_is_called() -> None:
    assert isinstance(load_network("torch.nn:Identity"), nn.Identity)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "names no function"),
        ("other", "there is no function 'other'. There are: small, given, optional, broken"),
        ("number", "there is no function 'number'"),
        ("given", "needs arguments: width. Write a function without"),
        ("broken", r"failed with ValueError: no such width \(line 15\)"),
        ("nothing", "gives dict, not a torch.nn.Module"),
    ],
)
def test_what_gives_no_network_is_said(file: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_network(f"{file}:{name}")


def test_what_is_no_place_is_said(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import nothing_of_this_name")
    latin = tmp_path / "latin.py"
    latin.write_bytes("# é".encode("latin-1"))
    for reference, message in (
        ("resnet", "names no function"),
        ("no_such.py:resnet", "there is no file 'no_such.py'"),
        ("no_such_package:resnet", "module 'no_such_package' cannot be imported"),
        (f"{wrong}:resnet", "failed with ModuleNotFoundError"),
        (f"{latin}:resnet", "failed with UnicodeDecodeError"),
    ):
        with pytest.raises(UserError, match=message):
            load_network(reference)


def network(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))


def saved(state: object, path: Path) -> Path:
    if path.suffix == ".safetensors":
        assert isinstance(state, dict)
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth"])
def test_weights_are_those_of_the_file(tmp_path: Path, name: str) -> None:
    trained, own = network(), network()
    load_weights(own, saved(trained.state_dict(), tmp_path / name))
    assert all(own.state_dict()[key].equal(value) for key, value in trained.state_dict().items())


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_a_state_may_be_part_of_a_checkpoint_of_several_processes(tmp_path: Path, key: str) -> None:
    trained, own = network(), network()
    state = {f"module.{name}": value for name, value in trained.state_dict().items()}
    load_weights(own, saved({key: state, "epoch": 3}, tmp_path / "a.pt"))
    assert own[0].weight.equal(trained[0].weight)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    own = network()
    without = {k: v for k, v in own.state_dict().items() if k != "0.bias"}
    for state, message in (
        (network(8).state_dict(), "of other shapes are 0.*, 0.*, 1.* and 3 more"),
        (without, "it lacks 0.bias"),
        ({**own.state_dict(), "head": torch.zeros(1)}, "the network has no head"),
    ):
        with pytest.raises(UserError, match=message):
            load_weights(own, saved(state, tmp_path / "a.safetensors"))


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("executed",))


def test_nothing_in_a_file_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content in (Harmful(), {"0.weight": Harmful()}):
        with pytest.raises(UserError, match="cannot be read without executing code"):
            load_weights(network(), saved(content, tmp_path / "a.pt"))
    assert "executed" not in capsys.readouterr().out


def test_what_holds_no_weights_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_text("no")
    (tmp_path / "b.pt").write_text("no")
    for path, message in (
        (tmp_path / "a.safetensors", "are no safetensors"),
        (tmp_path / "b.pt", "neither a file of safetensors nor one that torch.save wrote"),
        (tmp_path / "c.pt", "there is no such file"),
        (saved([1, 2], tmp_path / "d.pt"), "hold list, not tensors by name"),
        (saved({"width": 3}, tmp_path / "e.pt"), "hold dict, not tensors by name"),
    ):
        with pytest.raises(UserError, match=message):
            load_weights(network(), path)
