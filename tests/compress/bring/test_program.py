"""Networks that are exported programs: read without executing anything, for any number of images."""

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress.bring.bring import bring, give_weights, space_of
from compress.bring.files import bring_file, input_rule_in
from search_spaces import UserError
from supernets.supernet import Supernet
from tests.compress.bring.models import Inception, Swin, TorchViT, trained

SIDE = 32
FREE = ({0: torch.export.Dim("batch", min=2, max=4096)},)


def export(
    network: nn.Module, path: Path, *, batch: int = 0, example: Tensor | None = None
) -> Path:
    images = torch.zeros(batch or 2, 3, SIDE, SIDE) if example is None else example
    program = torch.export.export(network, (images,), dynamic_shapes=None if batch else FREE)
    torch.export.save(program, path)
    return path


@pytest.mark.parametrize(("model", "batch"), [(Inception, 0), (TorchViT, 1), (Swin, 2)])
@torch.no_grad()
def test_a_program_is_the_network_that_was_exported(
    model: type[nn.Module], batch: int, tmp_path: Path
) -> None:
    path = export(trained(model), tmp_path / "a.pt2", batch=batch)
    assert input_rule_in(path).resolution == SIDE
    found = bring_file(path, channels=3, resolution=SIDE)
    own = bring(model.__name__, trained(model), channels=3, resolution=SIDE)
    assert found.network == own.network
    supernet = Supernet(space_of(found)).eval()
    give_weights(supernet, found)
    slots = supernet.space.slots(supernet.space.canonical([0] * len(supernet.space.choices)))
    images = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(supernet(images, slots), trained(model)(images), rtol=0, atol=1e-5)


class Turned(nn.Module):
    """Its batch is an axis of a matrix that is reshaped."""

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        return x.permute(1, 0, 2, 3).reshape(c * h, b * w).sum(0).reshape(b, w)


def test_what_computes_with_its_batch_is_refused(tmp_path: Path) -> None:
    path = export(Turned(), tmp_path / "a.pt2", batch=2)
    with pytest.raises(UserError, match="exported for batches of 2 images, and computes with"):
        bring_file(path, channels=3, resolution=SIDE)


def test_what_was_exported_in_training_is_refused(tmp_path: Path) -> None:
    path = export(small().train(), tmp_path / "a.pt2")
    with pytest.raises(UserError, match="exported in training: batch_norm"):
        bring_file(path, channels=3, resolution=SIDE)


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(small().eval(), tmp_path_factory.mktemp("exported") / "a.pt2")


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("executed",))


def pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save(Harmful(), buffer)
    return buffer.getvalue()


def with_harmful_samples(name: str, content: bytes) -> bytes:
    return pickled() if name.endswith("sample_inputs/model.pt") else content


def with_pickled_weights(name: str, content: bytes) -> bytes:
    if not name.endswith("model_weights_config.json"):
        return content
    document = json.loads(content)
    next(iter(document["config"].values()))["use_pickle"] = True
    return json.dumps(document).encode()


def with_another(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    def changed(name: str, content: bytes) -> bytes:
        return content.replace(old, new) if name.endswith("models/model.json") else content

    return changed


def with_an_input(name: str, content: bytes) -> bytes:
    """Whose name is written into the code of a function, as a default that is computed."""
    if not name.endswith("models/model.json"):
        return content
    document = json.loads(content)
    graph = document["graph_module"]["graph"]
    graph["inputs"].append({"as_sym_int": {"as_name": "x=print('executed')"}})
    graph["sym_int_values"]["x=print('executed')"] = {"as_int": 3}
    return json.dumps(document).encode()


def with_an_enumeration(name: str, content: bytes) -> bytes:
    """Which torch imports."""
    if not name.endswith("models/model.json"):
        return content
    document = json.loads(content)
    context = json.dumps({"__enum__": True, "fqn": "this:A", "name": "B"})
    spec = [1, {"type": "builtins.dict", "context": context, "children_spec": []}]
    entry = document["graph_module"]["module_call_graph"][0]
    entry["signature"]["in_spec"] = json.dumps(spec)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_an_input, r"name 'x=print"),
        (with_an_enumeration, "a structure of 'builtins.dict'"),
        (with_harmful_samples, "example inputs that are no tensors"),
        (with_pickled_weights, "objects that are no tensors"),
        (with_another(b"torch.ops.aten.relu.default", b"torch.hub.load"), "'torch.hub.load'"),
        (
            with_another(b"torch.ops.aten.relu.default", b"torch.ops.aten.from_file.default"),
            "from_",
        ),
        (with_another(b"Symbol('s", b"exit() or Symbol('s"), r"size 'exit\(\)"),
        (with_another(b'"name": "input"', b'"name": "x=exit()"'), r"name 'x=exit\(\)"),
    ],
)
def test_nothing_in_a_file_is_executed(
    change: Callable[[str, bytes], bytes],
    message: str,
    exported: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed = tmp_path / "b.pt2"
    with zipfile.ZipFile(exported) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    with pytest.raises(UserError, match=message):
        bring_file(changed, channels=3, resolution=SIDE)
    assert "executed" not in capsys.readouterr().out


def test_what_torch_finds_is_what_was_looked_at(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Torch's reader takes names in capitals for the same, and gives back either."""
    changed = tmp_path / "b.pt2"
    shutil.copy(exported, changed)
    with zipfile.ZipFile(changed, "a") as archive:
        (own,) = (name for name in archive.namelist() if name.endswith("sample_inputs/model.pt"))
        archive.writestr(own.replace("model.pt", "MODEL.PT"), pickled())
    with contextlib.suppress(UserError):
        bring_file(changed, channels=3, resolution=SIDE)
    assert "executed" not in capsys.readouterr().out


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt2").write_text("no")
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt2")
    for name, message in (
        ("none.pt2", "there is no such file"),
        ("text.pt2", "is no exported program"),
        ("state.pt2", "is no exported program of this version"),
    ):
        with pytest.raises(UserError, match=message):
            bring_file(tmp_path / name, channels=3, resolution=SIDE)
