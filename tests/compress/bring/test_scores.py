"""Networks that are not quite of one input, one output and fp32, as users have them."""

from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from compress.bring._load import load_network, load_weights
from compress.bring.bring import Brought, bring, give_weights, space_of
from search_spaces import UserError
from supernets.supernet import Supernet

SIDE = 8
Answer = namedtuple("Answer", ["logits", "aux_logits"])


class Classifier(nn.Module):
    """A network whose answer is what `give` makes of its scores."""

    def __init__(self, give: object = None) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 5)
        self.give = give

    def forward(self, x: Tensor) -> object:
        scores = self.head(torch.relu(self.stem(x)).mean((2, 3)))
        return self.give(scores) if self.give else scores


def brought(network: nn.Module) -> Brought:
    return bring("mine", network.eval(), channels=1, resolution=SIDE)


@torch.no_grad()
def answers(found: Brought, images: Tensor) -> Tensor:
    space = space_of(found)
    shared = Supernet(space).eval()
    give_weights(shared, found)
    return shared(images, space.slots(space.canonical([0] * len(space.choices))))


@pytest.mark.parametrize(
    ("give", "remark"),
    [
        (lambda scores: {"logits": scores, "hidden": scores}, "gives dict: 'logits'"),
        (lambda scores: SimpleNamespace(logits=scores), "gives SimpleNamespace: 'logits'"),
        (lambda scores: Answer(scores, scores + 1), "gives Answer: 'logits'"),
        (lambda scores: (scores,), "gives tuple: the one tensor"),
    ],
)
def test_scores_are_taken_from_an_answer_of_several_parts(give: object, remark: str) -> None:
    network, images = Classifier(give), torch.rand(3, 1, SIDE, SIDE)
    found = brought(network)
    assert any(remark in said for said in found.notes)
    assert [part.name for part in found.network.parts] == ["stem", "head"]
    network.give = None
    expected = network(images).detach()
    torch.testing.assert_close(answers(found, images), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_floats_are_taken_as_fp32(kind: str) -> None:
    found = brought(Classifier().to(getattr(torch, kind)))
    assert found.notes == (f"its weights are {kind}: taken as float32",)
    assert {tensor.dtype for tensor in found.weights.values()} == {torch.float32}


class Twice(nn.Module):
    """One layer in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.same, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.relu(self.stem(x)).mean((2, 3))
        return self.head(self.same(torch.tanh(self.same(tokens))))


def test_weights_of_several_places_are_copied_and_said() -> None:
    network, images = Twice(), torch.rand(3, 1, SIDE, SIDE)
    found = brought(network)
    assert "'same.weight' is used in several places: each has its own" in found.notes
    expected = network(images).detach()
    torch.testing.assert_close(answers(found, images), expected, rtol=0, atol=1e-5)


class Fourier(nn.Module):
    """Complex numbers on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(SIDE, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.fft.fft(x).abs().mean((1, 2)))


class Turned(Classifier):
    """A complex weight."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.ones(1, dtype=torch.complex64))


class Conditioned(Classifier):
    """Two inputs."""

    def forward(self, x: Tensor, mask: Tensor) -> object:  # type: ignore[override]
        return super().forward(x * mask)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Fourier(), "computes with complex numbers"),
        (Turned(), "has complex weights"),
        (Classifier().to("meta"), "weights without values"),
        (nn.Sequential(nn.AvgPool2d(8), nn.Flatten()), "has no weights"),
        (Conditioned(), "takes 2 inputs: x, mask"),
        (Classifier(lambda s: [{"boxes": s, "labels": s}]), r"gives list \(dict\), and not one"),
        (Classifier(lambda s: {"boxes": s}), r"gives dict \(boxes\)"),
        (Classifier(lambda s: (s, s)), r"a tensor of \(2, 5\), a tensor of \(2, 5\)"),
        (Classifier(lambda s: None), "gives NoneType"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_what_gives_no_scores_of_images_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        brought(network)


SOURCE = """
from torch import nn

class Small(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Conv2d(1, width, 3), nn.Flatten(), nn.Linear(4, 3))

short = lambda: Small().train()
made = Small()

class Inside(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Small()

def inside():
    return Inside()
"""


def test_classes_lambdas_and_networks_are_as_good_as_functions(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    for name in ("Small", "short", "made"):
        network = load_network(f"{tmp_path}/mine.py:{name}")
        assert type(network).__name__ == "Small"
        assert not network.training


def test_names_may_begin_with_what_the_network_was_a_part_of(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    alone, inside = (load_network(f"{tmp_path}/mine.py:{name}") for name in ("Small", "inside"))
    for trained, other in ((inside, alone), (alone, inside)):
        save_file(trained.state_dict(), tmp_path / "a.safetensors")
        nn.init.zeros_(next(other.parameters()))
        load_weights(other, tmp_path / "a.safetensors")
        assert all(map(torch.equal, other.state_dict().values(), trained.state_dict().values()))


def test_safetensors_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    own = Classifier()
    save_file(own.state_dict(), tmp_path / "weights.bin")
    load_weights(Classifier(), tmp_path / "weights.bin")
    (tmp_path / "notes.txt").write_text("weights are elsewhere")
    with pytest.raises(UserError, match="neither a file of safetensors nor one that torch.save"):
        load_weights(own, tmp_path / "notes.txt")
