"""Models of libraries, as the functions in examples/ return them; skipped where they are missing."""

import sys
from pathlib import Path

import pytest
import torch

from compress.bring._load import load_network
from compress.bring.bring import bring, give_weights, space_of
from supernets.supernet import Supernet

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("library", "channels", "side"), [("transformers", 1, 32), ("timm", 3, 64)]
)
@torch.no_grad()
def test_the_example_is_brought(library: str, channels: int, side: int) -> None:
    pytest.importorskip(library, exc_type=ImportError)
    short = {"transformers": "hf", "timm": "timm"}[library]
    network = load_network(f"{EXAMPLES}/{short}_classifier.py:untrained")
    found = bring("untrained", network, channels=channels, resolution=side)
    assert found.input.resolution > 0
    space = space_of(found)
    shared = Supernet(space).eval()
    give_weights(shared, found)
    images = torch.rand(3, channels, side, side)
    answer = network(images)
    expected = getattr(answer, "logits", answer)
    actual = shared(images, space.slots(space.canonical([0] * len(space.choices))))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
    assert [part for part in found.network.parts if part.groups]
    sys.modules.pop(f"brought_{short}_classifier", None)
