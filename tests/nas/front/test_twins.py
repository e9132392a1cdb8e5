"""What a quantized network was before quantization: its weights, and as a network of its own."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn.functional import cross_entropy

import nas
from nas.finalists.entry import TWIN
from nas.finetune import named
from nas.front.card import read_card
from nas.front.exporting import export
from nas.front.folders import CARD, FINALISTS, FRONT, REFERENCES, is_whole, settle
from nas.front.members import entry_of
from nas.front.twins import twin_card, write_twins
from nas.prepare.reopen import Trained, reopened
from nas.run.directory import read_front
from nas.system.files import write_json
from nas.system.reporter import Silent
from nas.targets import ONNX
from search_spaces import UserError


@pytest.fixture
def trained(own_run: Path) -> Trained:
    return reopened(own_run, Silent())


def quantized_folder(run: Path) -> Path:
    """Of a network that is quantized."""
    return next(path.parent for path in sorted(run.glob("[fr]*/*/model.fp32.onnx")))


def test_fp32_weights_beside_a_quantized_network_train_and_export(finished_run: Path) -> None:
    folder = quantized_folder(finished_run)
    assert "model.fp32.safetensors" in read_card(folder / CARD)["files"]
    network = nas.load(folder / "model.fp32.safetensors")
    images = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8)
    session = onnxruntime.InferenceSession(folder / "model.fp32.onnx")
    (expected,) = session.run(None, {"images": images.numpy()})
    program = torch.export.export(network, (images,)).module()
    with torch.no_grad():
        for answers in (network(images), program(images)):
            np.testing.assert_allclose(answers.numpy(), expected, atol=1e-4)
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        loss = cross_entropy(network(images), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[1] < losses[0]


def test_a_twin_is_the_network_of_that_file_and_has_its_numbers(
    trained: Trained, tmp_path: Path
) -> None:
    folder = quantized_folder(trained.run.path)
    entry = entry_of(trained, f"{folder.name}{TWIN}")
    source, card = (
        read_card(folder / CARD),
        twin_card(trained.problem.space, read_card(folder / CARD)),
    )
    assert card is not None
    assert (card["key"], card["twin_of"]) == (entry.key, folder.name)
    assert card["policy"] == dict(entry.candidate.policy)
    assert card["encoding"] == [*entry.candidate.encoding]
    assert card["files"]["model.onnx"] == source["files"]["model.fp32.onnx"]
    own = tmp_path / "twin"
    own.mkdir()
    export(entry, own, tmp_path / "answers.json", trained.scorer, [ONNX])
    assert {path.name for path in own.iterdir()} == {"model.onnx", "model.safetensors"}
    for path in own.iterdir():
        theirs = folder / path.name.replace("model", "model.fp32")
        assert path.read_bytes() == theirs.read_bytes()


def test_the_folder_of_a_twin_is_there_while_it_is_on_the_front(trained: Trained) -> None:
    run, source = trained.run, quantized_folder(trained.run.path)
    key = f"{source.name}{TWIN}"
    twin = run.path / FRONT / key
    settle(run, [key], [])
    for _ in range(2):
        write_twins(run, trained.problem.space, [key])
        assert is_whole(twin)
        assert read_card(twin / CARD)["files"].keys() == {"model.onnx", "model.safetensors"}
        (twin / "model.onnx").write_bytes(b"x")  # as after a kill
    settle(run, [], [])
    assert list((run.path / FRONT).iterdir()) == []


def test_references_move_to_the_front_and_back(trained: Trained) -> None:
    run, front = trained.run, read_front(trained.run.path)
    names = [row["key"] for row in front["references"]]
    others = {path.parent.name for path in run.path.glob(f"f*/*/{CARD}")} - {*names}
    others = {key for key in others if not key.endswith(TWIN)}

    def there(kind: str) -> set[str]:
        return {path.parent.name for path in run.path.glob(f"{kind}/*/{CARD}")}

    for members in (names, [], [names[0]]):
        settle(run, members, names)
        assert there(FRONT) == set(members)
        assert there(REFERENCES) == set(names) - set(members)
        assert there(FINALISTS) == others


def test_names_of_twins_are_understood(trained: Trained) -> None:
    path = trained.run.path
    source = quantized_folder(path).name
    origin = source.partition("-ft")[0]
    entry = entry_of(trained, f"{source}{TWIN}")
    assert entry.key == f"{source}{TWIN}"
    assert named(trained, f"{origin}{TWIN}") == entry.candidate
    write_json(path / "front.json", read_front(path) | {"members": [entry.key]})
    assert entry_of(trained, origin[:8]) == entry, "only that is on the front"
    write_json(path / "front.json", read_front(path) | {"members": [entry.key, source]})
    assert entry_of(trained, origin[:8]).key == source
    with pytest.raises(UserError, match=f"Name what it was made of, '{origin}{TWIN}'"):
        named(trained, f"{origin}-ft0{TWIN}")
    with pytest.raises(UserError, match="has no twin"):
        entry_of(trained, f"{in_fp32(trained)}{TWIN}")


def in_fp32(trained: Trained) -> str:
    """Key of a network that is not quantized."""
    front = read_front(trained.run.path)
    return next(row["key"] for row in front["references"] if row["name"] == "largest fp32")
