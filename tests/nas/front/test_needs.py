"""What a card says that its files need."""

from pathlib import Path

import pytest

from compress import compress
from compress.export import IR_VERSION, OPSET
from nas.front.needs import needs_of
from nas.system.environment import WITHOUT_SATURATION
from nas.testing._exported import export
from nas.testing._spaces import random_supernet, slots_of
from nas.testing._tensors import noise
from search_spaces import FORMATS
from supernets.supernet import Supernet
from tests.strategies import mini_space


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    space = mini_space(operators=("mbconv",)).with_policy(tuple(FORMATS.names()), (0.0,))
    return random_supernet(space)


@pytest.mark.parametrize(
    ("precision", "reduced", "bits"),
    [
        ("fp32", False, None),
        ("int8w", False, None),
        ("int4w", False, None),
        ("fp8-e4m3", False, None),
        ("int8", False, 8),
        ("int8", True, 7),
        ("int8-dynamic", False, 8),
        ("int8-dynamic", True, 7),
    ],
)
def test_a_file_needs_a_processor_that_does_not_saturate_only_for_8_bits(
    supernet: Supernet, precision: str, reduced: bool, bits: int | None, tmp_path: Path
) -> None:
    space = supernet.space
    slots = slots_of(space, precision=precision, depth=1)
    images = [noise(2, 1, 16, 16)]
    network = compress(supernet.extract(slots), slots, images, needs_reduced_range=reduced).network
    needs = needs_of(export(network, space, tmp_path / "a.onnx"))
    assert (needs["opset"], needs["ir_version"]) == (OPSET, IR_VERSION)
    assert needs.get("weight_bits") == bits
    assert needs.get("domains") == (["com.microsoft"] if precision == "int4w" else None)
    assert needs.get("instruction_sets") == (sorted(WITHOUT_SATURATION) if bits == 8 else None)
